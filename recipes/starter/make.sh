#!/usr/bin/env bash
# The starter model, from the data sets to the weights in the package. About five hours on two cores without fast 16-bit arithmetic.
#   recipes/starter/make.sh DATA      DATA: a folder with wikisql/, spider/ and sql_create_context/
# Can be stopped and called again: what is made is kept, and training goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$(realpath "${1:?make starter DATA=a folder with wikisql/, spider/ and sql_create_context/}")
here=recipes/starter
work=build/starter
python=.venv/bin/python
myna="$python -m myna"
mkdir -p $work/generated
# Of the training questions, those on some tables choose settings and checkpoints; no test half is touched.
[ -d $work/dev ] || $myna data wikisql "$data/wikisql" --hints --out $work/dev --train-file train.exec \
    --train-size 1 --valid-size 1200 --test-size 0
[ -d $work/spider ] || $myna data spider "$data/spider" --samples 0 --out $work/spider
[ -d $work/sql_create_context ] || $myna data sql-create-context \
    "$data/sql_create_context/sql_create_context.jsonl" --out $work/sql_create_context
[ -f $work/named.jsonl ] || { $python $here/named.py "$data/wikisql" $work/named.part && mv $work/named.part $work/named.jsonl; }
[ -f $work/tables/wiki13.sqlite ] || $python $here/tables.py "$data/wikisql" $work/tables --without $work/dev
for database in "$data"/spider/database/*/*.sqlite $work/tables/*.sqlite; do
    name=$(basename "$database" .sqlite)
    size=200
    case $name in wiki[0-9]*) size=1200 ;; esac
    [ -e $work/generated/"$name" ] && continue
    $myna data database "$database" --out $work/generated/"$name" --size $size --language both --samples 0 || {
        code=$?
        [ $code -eq 1 ] || exit $code   # stopped by hand
        echo "nothing can be asked of $name" >&2
    }
done
[ -d $work/data ] || { rm -rf $work/data.part
    $python $here/data.py $work "$data/wikisql" $work/data.part && mv $work/data.part $work/data; }
[ -d $work/base ] || $python $here/base.py $work/data/first $work/base
for part in first second third fourth; do
    [ -f $work/$part.trained ] && continue
    if [ -d runs/starter-$part ]; then
        $myna train --resume runs/starter-$part
    else
        $myna train $here/$part.yaml
    fi
    touch $work/$part.trained
done
model=src/myna/starter/model
[ -d $work/model ] || $myna fuse --adapter-path runs/starter-fourth --save-path $work/model --dtype bfloat16
mkdir -p $model
cp $work/model/* $model # beside the card, which is written by hand
rm $model/README.md     # the plain one that fusing writes
$python -c "from myna.starter.integrity import write_sums; print('starter, content hash', write_sums())"
