"""Promises about secrets: every format is found wherever it stands, and none is ever shown in full."""

from __future__ import annotations

import base64
import json
import random
import string
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.checking import check
from myna.checking.excerpts import MAX_CHARACTERS, excerpt, redacted
from myna.checking.sensitive import find_sensitive
from small_data import asked, chat, clean, found, school, write


def made_up(length: int, letters: str = string.ascii_letters + string.digits, seed: int = 7) -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


def part(content: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


# Made here from parts, so that no file of the repository holds what looks like a real key.
KEYS = {
    "AWS access key": "AKIA" + made_up(16, string.ascii_uppercase + "234567"),
    "GitHub token": "ghp_" + made_up(36),
    "GitHub token, fine-grained": "github_pat_" + made_up(22) + "_" + made_up(59),
    "GitLab token": "glpat-" + made_up(20),
    "Slack token": "xoxb-" + made_up(12, string.digits) + "-" + made_up(24),
    "API key (sk-…)": "sk-" + made_up(48),
    "API key (sk-…), of a project": "sk-proj-" + made_up(48),
    "API key (sk-…), versioned": "sk-ant-" + "api03-" + made_up(90),
    "Hugging Face token": "hf_" + made_up(34),
    "Google API key": "AIza" + made_up(35),
    "Stripe key": "sk_live_" + made_up(24),
    "package index token": "npm_" + made_up(36),
    "JSON web token": f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': '1234567890'})}.{made_up(43)}",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{made_up(64)}\n{made_up(64)}\n-----END RSA PRIVATE KEY-----",
    "private key, cut off": f"-----BEGIN PRIVATE KEY-----\n{made_up(64)}\n{made_up(30)}",
    "password in a URL": "postgresql://anna:" + made_up(12) + "@",
}
PASSWORDS = [
    "password = " + made_up(12) + "7q",
    'DB_PASSWORD="' + made_up(12) + '7q"',
    "api_key: " + made_up(20) + "7q",
    "client-secret := '" + made_up(16) + "7q'",
    "密码：" + made_up(10) + "7q",
]
ADDRESSES = ["jane.doe@university.edu", "m+list@mail.example.co.uk", "李雷 <lilei@163.com>"]


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_found_and_masked(name: str, tmp_path: Path) -> None:
    secret = KEYS[name]
    folder = write(
        tmp_path,
        train=[*clean(0, 12), chat("How?", f"Use {secret}there" if secret.endswith("@") else f"Use {secret} there")],
        test=clean(20, 24),
    )
    (finding,) = check(folder).findings
    assert (finding.kind, finding.severity, finding.count) == ("secrets", "serious", 1)
    assert finding.examples[0].where == "train.jsonl:13"
    assert f"Use {secret[:4]}…" in finding.examples[0].excerpt or "private key" in name
    for length in range(5, len(secret)):
        assert secret[:length] not in json.dumps(asdict(finding))
        assert secret[-length:] not in json.dumps(asdict(finding))


@pytest.mark.parametrize("text", PASSWORDS)
def test_a_password_is_found_and_masked(text: str, tmp_path: Path) -> None:
    findings = found(write(tmp_path, train=[*clean(0, 12), chat(f"Why is {text} wrong?", "It is weak")]))
    assert findings.keys() == {"passwords"}
    assert made_up(10)[:5] not in str(findings)


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_a_warning_and_masked(text: str, tmp_path: Path) -> None:
    findings = found(write(tmp_path, train=[*clean(0, 12), chat(f"Write to {text} now", "Done")]))
    assert findings.keys() == {"e-mail addresses"}
    assert findings["e-mail addresses"].severity == "warning"
    assert "@" not in str(findings)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:password@host/db and mysql://root:<password>@host, redis://:${REDIS_PASSWORD}@host",
        "password = 'yourpassword1', passwd: xxxxxxxx1, secret: example123, api_key = {{ key1 }}",
        "password = get_password(vault2), token = tokens[12345], primary_key: student_id, password: str",
        "SELECT password FROM users WHERE api_key IS NOT NULL AND token_count > 12345678",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, glpat-xxxxxxxxxxxxxxxxxxxx, task-runner-configuration-loader",
        "git@github.com:owner/name.git, logo@2x.png, noreply@company.com, user@example.com, postgres@localhost",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----, ssh://host:22, http://[::1]:8080/@x",
    ],
)
def test_placeholders_programs_and_public_names_are_no_secrets(text: str) -> None:
    assert [text[found.start : found.stop] for found in find_sensitive(text)] == []


def test_what_other_findings_show_is_masked_too(tmp_path: Path) -> None:
    secret = KEYS["GitHub token"]
    place = school(tmp_path / "school.sqlite")
    wrong = asked(f"Whose is {secret}?", f"SELECT nam FROM students WHERE name = '{secret}'")
    bad = json.dumps({"prompt": "a", secret: "b"})
    unknown = asked("Who?", "SELECT 1", database=secret)
    broken = chat("Who?", "SELECT 1", sql={"database": 3, "gold": {"token": secret}})
    folder = write(
        tmp_path,
        train=[*clean(0, 9), wrong, wrong, chat(f"a\x07{secret}", f"Ａ {secret}"), bad, unknown, broken],
        test=[wrong, chat(f"a\x07{secret}", f"B {secret}")],
        databases={"school": place},
    )
    findings = check(folder)
    kinds = {finding.kind for finding in findings.findings}
    assert {"gold SQL fails", "duplicates", "leaked examples", "contradicting answers", "unusable lines"} < kinds
    shown = json.dumps(findings.as_dict(), ensure_ascii=False)
    assert secret[:4] in shown
    for finding in findings.findings:
        assert secret[:9] not in str(finding)
        assert secret[-9:] not in str(finding)


def test_a_password_in_the_folders_own_record_is_found(tmp_path: Path) -> None:
    url = KEYS["password in a URL"]
    folder = write(tmp_path, train=clean(0, 3), databases={"grades": f"{url}db.school.edu:5432/grades"})
    findings = found(folder)
    assert findings.keys() == {"secrets"}
    assert findings["secrets"].examples[0].where == "data.json:1"
    assert url not in str(findings)


@given(st.sampled_from([*KEYS.values(), *PASSWORDS]), st.integers(1, 60))
def test_a_secret_that_a_message_cut_off_is_masked_too(secret: str, kept: int) -> None:
    cut = secret[:kept]
    shown = redacted(f"SQLite says: near {cut!r}")
    begun = cut.rpartition(made_up(3))
    if begun[1] and len(begun[2]) > 4:
        assert begun[2] not in shown


NOISE = st.text(st.characters(exclude_categories=["Cs"]), max_size=160)


@settings(deadline=None)
@given(NOISE, st.sampled_from([*KEYS.values(), *PASSWORDS]), NOISE, st.integers(0, 400))
def test_no_excerpt_shows_a_secret_wherever_it_is_cut(before: str, secret: str, after: str, start: int) -> None:
    text = f"{before} {secret} {after}"
    shown = excerpt(text, min(start, len(text)))
    assert len(shown) <= MAX_CHARACTERS + 2
    assert shown.isprintable() or not any(character in shown for character in "\x1b\x00\n\r\u202e\u2066")
    core = secret[len(secret) // 2 : len(secret) // 2 + 9]
    assert core not in shown
    assert core not in redacted(text)


@settings(deadline=None)
@given(NOISE)
def test_an_excerpt_begins_where_it_is_told(text: str) -> None:
    marked = f"{'a ' * 60}HERE{text}"
    assert "HERE" in excerpt(marked, 120)
