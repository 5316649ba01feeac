"""A small shop for tests: seven tables in SQL that every kind of database takes, with a bit of everything to profile.

Keys that are declared and one that is not (`reviews.product_id`); numbers that are keys (`zip_code`), years, measures;
dates of the database's own type and as text in three formats; NULLs, a column of NULLs alone, one with a single value.
"""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

TABLES = (
    "CREATE TABLE cities (id INT PRIMARY KEY, name VARCHAR(40), country VARCHAR(40), founded_year INT, population INT)",
    "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(40), city_id INT, born DATE, zip_code INT, "
    "phone VARCHAR(20), nickname VARCHAR(40), fax VARCHAR(20), planet VARCHAR(20), "
    "FOREIGN KEY (city_id) REFERENCES cities (id))",
    "CREATE TABLE products (id INT PRIMARY KEY, name VARCHAR(40), category VARCHAR(20), price DECIMAL(8, 2), "
    "min_weight INT, max_weight INT)",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, ordered_on DATE, status VARCHAR(20), paid BOOLEAN, "
    "FOREIGN KEY (customer_id) REFERENCES customers (id))",
    "CREATE TABLE order_items (order_id INT, product_id INT, quantity INT, unit_price DECIMAL(8, 2), "
    "PRIMARY KEY (order_id, product_id), FOREIGN KEY (order_id) REFERENCES orders (id), "
    "FOREIGN KEY (product_id) REFERENCES products (id))",
    "CREATE TABLE employees (id INT PRIMARY KEY, name VARCHAR(40), salary INT, hired VARCHAR(20), left_on VARCHAR(20), "
    "seen VARCHAR(20))",
    "CREATE TABLE reviews (id INT PRIMARY KEY, product_id INT, stars INT, words VARCHAR(200))",
)


def statements(seed: int = 0) -> Iterator[str]:
    """The shop's SQL: first its tables, then its rows."""
    yield from TABLES
    chance = random.Random(seed)
    countries, statuses = ["Norway", "Chile", "Japan"], ["open", "sent", "lost"]
    first = ["Ann", "Bo", "Cai", "Dee", "Eve", "Fay", "Gus", "Hal"]
    last = ["Ames", "Berg", "Cole", "Diaz", "Egan"]
    for i in range(1, 13):
        population = chance.randint(20, 900) * 1000
        yield f"INSERT INTO cities VALUES ({i}, 'City {i}', '{chance.choice(countries)}', {1800 + 7 * i}, {population})"
    for i in range(1, 41):
        name, nickname = f"{first[i % 8]} {last[i % 5]}", f"'nick {i % 9}'" if i % 3 else "NULL"
        born = f"{chance.randint(1950, 2005)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        yield (
            f"INSERT INTO customers VALUES ({i}, '{name}', {1 + i % 11}, '{born}', {10000 + i * 37}, '555-{i:04}', "
            f"{nickname}, NULL, 'Earth')"
        )
    for i in range(1, 21):
        price, weight = chance.randint(100, 9000) / 100, chance.randint(1, 40)
        yield (
            f"INSERT INTO products VALUES ({i}, 'Product {i}', '{chance.choice(['toy', 'tool', 'book'])}', {price}, "
            f"{weight}, {weight + chance.randint(1, 30)})"
        )
    for i in range(1, 121):
        day = f"{chance.randint(2019, 2023)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        paid = chance.choice(["TRUE", "FALSE"])
        yield f"INSERT INTO orders VALUES ({i}, {chance.randint(1, 35)}, '{day}', '{chance.choice(statuses)}', {paid})"
        for product in chance.sample(range(1, 19), chance.randint(1, 3)):
            yield f"INSERT INTO order_items VALUES ({i}, {product}, {chance.randint(1, 9)}, {chance.randint(1, 99)}.5)"
    for i in range(1, 31):
        day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(2001, 2020)
        yield (
            f"INSERT INTO employees VALUES ({i}, '{first[i % 8]} {last[i % 5]} {i}', {chance.randint(20, 90) * 1000}, "
            f"'{day:02}.{month:02}.{year}', '{month}/{day}/{year}', '{year}-{month:02}-{day:02} 08:00:00')"
        )
    for i in range(1, 61):
        yield f"INSERT INTO reviews VALUES ({i}, {chance.randint(1, 20)}, {chance.randint(1, 5)}, 'Word {i} of mouth')"


def write_shop(path: Path, seed: int = 0) -> Path:
    """Write the shop as a SQLite file."""
    connection = sqlite3.connect(path)
    for statement in statements(seed):
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path
