"""Folders whose table cannot be one thing: files by name, and a piece of the fault."""

from __future__ import annotations

from tests.tasks.prepare.same_pictures import image


def csv_of(text: str, *images: str) -> dict[str, bytes | str]:
    return {"labels.csv": text, **{name: image(n) for n, name in enumerate(images)}}


FAULTS: dict[str, tuple[dict[str, bytes | str], str]] = {
    "no header": (
        csv_of("a.png,cat\nb.png,dog\n", "a.png", "b.png"),
        "labels.csv line 1: an image already: a.png,cat; expected a first line that names the columns",
    ),
    "ids without header": (
        csv_of("0001,cat\n0002,dog\n", "0001.png", "0002.png"),
        "where line 1 is an image already, write path,label above it",
    ),
    "one line": (csv_of("path,label\n"), "labels.csv: no rows"),
    "empty": (csv_of(""), "labels.csv: no rows"),
    "column twice": (csv_of("path,label,label\na.png,x,y\n", "a.png"), "more than one column label"),
    "two images": (
        csv_of("path,file_name,label\na.png,a.png,y\n", "a.png"),
        "the image: path (a.png); file_name (a.png); expected one; choose: --image path or --image file_name",
    ),
    "two labels": (
        csv_of("path,label,class_name\na.png,1,y\n", "a.png"),
        "the label: label (1); class_name (y); expected one; choose: --label label or --label class_name",
    ),
    "two splits": (
        csv_of("path,label,split,data_split\na.png,1,train,test\n", "a.png"),
        "columns split, data_split could each say the split",
    ),
    "two sets": (
        csv_of("path,label,set,usage\na.png,1,train,test\n", "a.png"),
        "columns set, usage could each say the split",
    ),
    "one hot": (
        csv_of("image,cat,dog\na.png,1,0\nb.png,0,1\n", "a.png", "b.png"),
        "'cat', 'dog' are one column a class",
    ),
    "captions": (
        {"metadata.jsonl": '{"file_name": "a.png", "text": "a cat"}\n', "a.png": image(0)},
        "text holds captions, which say no class",
    ),
    "several labels": (
        {"l.jsonl": '{"path": "a.png", "label": ["x", "y"]}\n', "a.png": image(0)},
        "1 lines with a list or a mapping as path or label: 1",
    ),
    "no json": (
        {"l.jsonl": '{"path": "a.png", "label": 1}\n{"path"\n', "a.png": image(0)},
        "l.jsonl: unreadable (line 2: ",
    ),
    "no object": ({"l.jsonl": '["a.png", 1]\n', "a.png": image(0)}, "instead of a JSON object"),
    "yes and no": (
        csv_of("path,label,is_train\na.png,x,1\nb.png,y,0\n", "a.png", "b.png"),
        "columns 'is_train' say by yes and no which rows are of a split; expected a split for each",
    ),
    "some in folders": (
        csv_of("path,label\ntrain/a.png,x\nb.png,y\n", "train/a.png", "b.png"),
        "1 of 2 images lie in no folder called as a split, the others in 'train'",
    ),
    "split unknown": (
        csv_of("path,label,split\na.png,x,0\nb.png,y,train\n", "a.png", "b.png"),
        "'0': nothing tells which split that is",
    ),
    "split empty": (csv_of("path,label,split\na.png,x,\nb.png,y,test\n", "a.png", "b.png"), "1 lines without split: 2"),
    "split twice": (
        csv_of("path,label,split\na.png,x,train\nb.png,y,training\n", "a.png", "b.png"),
        "'train', 'training' could each be the train split",
    ),
    "no label": (csv_of("path,label\na.png,\nb.png,y\n", "a.png", "b.png"), "1 lines without label: 2"),
    "no image": (csv_of("path,label\na.png,x\n,y\n", "a.png"), "1 lines without path: 3"),
    "width": (
        csv_of("path,label\na.png,x\nb.png,y,z\n\n", "a.png", "b.png"),
        "1 lines of another width than the header's 2: 3",
    ),
    "quotes": (csv_of('path,label\n"a.png"x,y\n', "a.png"), "unreadable ("),
    "gone": (csv_of("path,label\na.png,x\nb.png,y\nc.png,y\n", "a.png"), "2 images are missing: 'b.png', 'c.png'"),
    "all gone": (csv_of("path,label\na.png,x\n", "b.png"), "none of its images is there, such as a.png"),
    "twice": (csv_of("path,label\na.png,x\n./a.png,x\n", "a.png"), "1 images are listed twice: 'a.png'"),
    "two classes": (
        csv_of("path,label\na.png,x\na.png,y\n", "a.png"),
        "1 images are listed with two labels: 'a.png (x, y)'",
    ),
    "in two splits": (
        csv_of("path,label,split\na.png,x,train\na.png,x,test\n", "a.png"),
        "1 images are listed with two splits: 'a.png (test, train)'",
    ),
    "fractions": (
        csv_of("path,label\na.png,0.25\nb.png,1\n", "a.png", "b.png"),
        "labels are numbers with fractions: '0.25'",
    ),
    "spellings": (csv_of("path,label\na.png,01\nb.png,1\n", "a.png", "b.png"), "label 1 is written '01', '1'"),
    "hidden": (
        csv_of("path,label\na.png,-1\nb.png,-1\n", "a.png", "b.png"),
        "labels below 0: '-1'; expected whole numbers from 0; -1 is what the hub writes",
    ),
    "kinds": (
        {
            "train.csv": "path,label\na.png,0\n",
            "test.csv": "path,label\nb.png,cat\n",
            "a.png": image(0),
            "b.png": image(1),
        },
        "labels are numbers in 'train.csv' and names in 'test.csv'",
    ),
    "another table": (
        {"train.csv": "path,label\na.png,x\n", "ids.csv": "n,m\n1,2\n", "a.png": image(0)},
        "--split ids.csv=none leaves it out",
    ),
    "two tables": (
        {"a.csv": "path,label\na.png,x\n", "b.csv": "path,label\na.png,x\n", "a.png": image(0)},
        "'a.csv', 'b.csv': nothing tells which split that is",
    ),
    "contradiction": (
        {"train.csv": "path,label,split\na.png,x,test\n", "a.png": image(0)},
        "column split says 'test' in a table called train",
    ),
    "its folder": (
        {"train/test.csv": "path,label\na.png,x\n", "train/a.png": image(0)},
        "'train/test': nothing tells which split that is",
    ),
    "a workbook": ({"labels.xlsx": b"PK", "a.png": image(0)}, "no table, though there is 'labels.xlsx'"),
    "workbook as csv": (
        {"labels.csv": b"PK\x03\x04\xff xl/", "a.png": image(0)},
        "labels.csv: unreadable (an Excel workbook (.xlsx))",
    ),
    "windows-1252": ({"labels.csv": "path,label\na.png,\xe9t\xe9\n".encode("cp1252"), "a.png": image(0)}, "line 2: "),
    "no parquet": ({"labels.parquet": b"PAR1", "a.png": image(0)}, "labels.parquet: unreadable ("),
    "nothing": ({"a.png": image(0)}, "no table; expected a table of images and labels"),
}
