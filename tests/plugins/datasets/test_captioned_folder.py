from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from harness import loading
from harness.data.columns import all_values
from harness.data.folder import decode_image
from harness.data.rows import read_as
from harness.data.texts import words_of
from harness.errors import DatasetMissing, RequestError
from harness.plugin.specs import DatasetSpec
from harness.registry.config import resolve
from harness_plugins.datasets import captioned_folder

SPEC: DatasetSpec = captioned_folder.harness_dataset()
ROOT = Path("no data folder is needed")
CAPTIONS = [f"a {'red' if number % 2 else 'blue'} kite, number {number}" for number in range(20)]


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(path)


def rows(n: int = 20) -> list[dict[str, str]]:
    """In an order that is not that of the file names."""
    return [{"file": f"in/{number}.png", "caption": CAPTIONS[number]} for number in (*range(n - 5, n), *range(n - 5))]


def write(folder: Path, table: list[dict[str, str]], name: str = "captions.csv") -> Path:
    """The table and a picture for each of its rows."""
    for number, row in enumerate(table):
        picture(folder / row["file"], number)
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        if name.endswith(".csv"):
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
        else:
            file.writelines(json.dumps(row) + "\n" for row in table)
    return folder


def configured(path: Path, **params: object) -> captioned_folder.Config:
    return resolve(captioned_folder.Config, {"path": str(path), "size": 8, **params}, "captioned-folder")


def problem(folder: Path) -> str:
    with pytest.raises((RequestError, DatasetMissing)) as error:
        loading.load(SPEC, configured(folder), ROOT, seed=0)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl"])
def test_each_image_has_the_caption_of_its_row(name: str, tmp_path: Path) -> None:
    config = configured(write(tmp_path, rows(), name))
    raw = SPEC.load(config, ROOT)
    assert raw.captions == [row["caption"] for row in rows()]
    assert (raw.labels, raw.test) == (None, None)
    for image, row in zip(raw.inputs, rows(), strict=True):
        np.testing.assert_array_equal(image.numpy(), decode_image(tmp_path / row["file"], 8, 3))
    assert SPEC.describe(config, ROOT).captions


def test_order_of_the_rows_does_not_confuse_what_is_kept_decoded(tmp_path: Path) -> None:
    write(tmp_path, rows())
    first = SPEC.load(configured(tmp_path), ROOT)
    table = (tmp_path / "captions.csv").read_text().splitlines()
    (tmp_path / "captions.csv").write_text("\n".join([table[0], *reversed(table[1:])]))
    again = SPEC.load(configured(tmp_path), ROOT)
    assert again.captions == first.captions[::-1]
    assert again.inputs.equal(first.inputs.flip(0))


def test_captions_become_tokens_of_the_training_words(tmp_path: Path) -> None:
    dataset = loading.load(SPEC, configured(write(tmp_path, rows())), ROOT, seed=0)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (14, 2, 4)
    assert dataset.spec.captions.length == 5
    assert {"a", "red", "blue", "kite", "number"} < set(dataset.spec.captions.vocabulary)
    raw = SPEC.load(configured(tmp_path), ROOT)
    tokens_of_training = read_as(dataset, dataset.spec).train.captions.values
    for image, tokens in zip(dataset.train.values, tokens_of_training, strict=True):
        row = int((raw.inputs == image).flatten(1).all(1).nonzero())
        assert dataset.spec.captions.text(tokens).split() == words_of(raw.captions[row])


def test_label_column_gives_sorted_classes(tmp_path: Path) -> None:
    table = [row | {"label": "dog" if "red" in row["caption"] else "cat"} for row in rows()]
    config = configured(write(tmp_path, table))
    assert SPEC.describe(config, ROOT).classes == ("cat", "dog")
    assert SPEC.load(config, ROOT).labels.tolist() == [int("red" in row["caption"]) for row in rows()]


def test_split_column_gives_the_official_test_set(tmp_path: Path) -> None:
    table = [row | {"split": "test" if "blue" in row["caption"] else "train"} for row in rows()]
    raw = SPEC.load(configured(write(tmp_path, table)), ROOT)
    assert len(raw.inputs) == len(raw.test.inputs) == 10
    assert all("red" in caption for caption in raw.captions)
    assert all("blue" in caption for caption in raw.test.captions)
    first = next(row["file"] for row in table if row["split"] == "test")
    np.testing.assert_array_equal(raw.test.inputs[0].numpy(), decode_image(tmp_path / first, 8, 3))


def test_train_and_test_folders_are_an_official_split(tmp_path: Path) -> None:
    write(tmp_path / "train", rows())
    write(tmp_path / "test", rows(6), "captions.jsonl")
    raw = SPEC.load(configured(tmp_path), ROOT)
    assert (len(raw.inputs), len(raw.test.inputs)) == (20, 6)
    assert raw.test.captions == [row["caption"] for row in rows(6)]


def test_csv_may_have_a_byte_order_mark_quotes_and_lines_inside(tmp_path: Path) -> None:
    write(tmp_path, rows())
    picture(tmp_path / "more.png", 77)
    text = (tmp_path / "captions.csv").read_text() + '\nmore.png,"one, two\nthree"\n\n'
    (tmp_path / "captions.csv").write_text(text, encoding="utf-8-sig")
    assert SPEC.load(configured(tmp_path), ROOT).captions[-1] == "one, two\nthree"


def test_bad_rows_of_a_csv_are_reported_together_by_line(tmp_path: Path) -> None:
    write(tmp_path, rows())
    text = (tmp_path / "captions.csv").read_text().splitlines()
    text[2] = "in/none.png,a kite"  # the header is line 1
    text[4] = "in/0.png,  "
    text[6] = "in/1.png,a kite, and another"
    text[7] = text[1]
    (tmp_path / "captions.csv").write_text("\n".join(text))
    assert problem(tmp_path) == (
        f"{tmp_path / 'captions.csv'}: 4 of 20 rows are bad, mend or remove line 3 (there is no image in/none.png), "
        "line 5 (empty caption), line 7 (3 cells, expected 2: quote commas) and 1 more"
    )


def test_line_numbers_count_lines_inside_quotes(tmp_path: Path) -> None:
    write(tmp_path, rows(6))
    head, first, *_ = (tmp_path / "captions.csv").read_text().splitlines()
    (tmp_path / "captions.csv").write_text(f'{head}\n{first}\n"in/0.png","one\ntwo"\nin/none.png,kite\n')
    assert "line 5 (there is no image in/none.png)" in problem(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file": "in/0.png"', "line 2 (no JSON: "),
        ('["in/0.png", "a kite"]', "line 2 (a list, expected a JSON object)"),
        ('{"file": "in/0.png"}', "line 2 (no caption)"),
        ('{"file": "in/0.png", "caption": ""}', "line 2 (empty caption)"),
        ('{"file": "in/0.png", "caption": "x", "captoin": "y"}', "did you mean 'caption'"),
        ('{"file": "in/0.png", "caption": "x", "label": "y"}', "line 2 (with label, unlike the rows before)"),
        ('{"file": "in/nought.png", "caption": "x"}', "line 2 (there is no image in/nought.png)"),
    ],
)
def test_bad_rows_of_json_lines_say_what_is_wrong(line: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, rows(8), "captions.jsonl")
    lines = (tmp_path / "captions.jsonl").read_text().splitlines()
    lines[1] = line
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    found = problem(tmp_path)
    assert "1 of 8 rows are bad" in found
    assert message in found


def test_two_captions_of_one_image_are_an_error(tmp_path: Path) -> None:
    table = rows(8)
    write(tmp_path, [*table, table[2]])
    assert f"line 10 ({Path(table[2]['file']).name} has a caption already, in line 4)" in problem(tmp_path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("image,text", "has the columns image, text and no file: expected file and caption"),
        ("file,caption,lable", "has a column 'lable': did you mean 'label'?"),
        ("file,caption,caption", "has a column twice"),
    ],
)
def test_bad_columns_are_an_error(header: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text(f"{header}\n1.png,x\n")
    assert message in problem(tmp_path)


def test_bad_quotes_are_errors_at_the_line_where_their_row_starts(tmp_path: Path) -> None:
    write(tmp_path, rows(6))
    with (tmp_path / "captions.csv").open("a") as file:
        file.write('in/0.png,"a "kite"\nin/none.png,"never closed\n')
    message = problem(tmp_path)
    assert "2 of 8 rows are bad" in message
    assert "line 8 (',' expected after '\"')" in message
    assert "line 9 (unexpected end of data)" in message


def test_bad_split_and_empty_label_are_errors(tmp_path: Path) -> None:
    table = [row | {"label": "x", "split": "train"} for row in rows(8)]
    table[0] |= {"split": "val"}
    table[1] |= {"label": ""}
    message = problem(write(tmp_path, table))
    assert "line 2 (split 'val', expected train or test), line 3 (empty label)" in message


def test_file_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_bytes("file,caption\n1.png,Straße\n".encode("latin-1"))
    assert "is not text in UTF-8" in problem(tmp_path)


def test_folder_without_captions_or_with_two_files_of_them_is_an_error(tmp_path: Path) -> None:
    assert "has no captions.csv and no captions.jsonl" in problem(tmp_path)
    assert "has no rows" in problem(_empty(tmp_path, "captions.csv", "file,caption\n"))
    assert "has both captions.csv and captions.jsonl: remove one" in problem(_empty(tmp_path, "captions.jsonl", ""))


def _empty(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder


def test_fingerprint_knows_images_and_captions_but_not_the_place(tmp_path: Path) -> None:
    write(tmp_path / "one", rows())
    before = loading.fingerprint(SPEC, configured(tmp_path / "one"), ROOT)
    moved = (tmp_path / "one").rename(tmp_path / "two")
    assert loading.fingerprint(SPEC, configured(moved), ROOT) == before
    text = (moved / "captions.csv").read_text()
    (moved / "captions.csv").write_text(text.replace("red", "green"))
    assert loading.fingerprint(SPEC, configured(moved), ROOT) != before


def test_images_keep_their_captions_however_their_paths_are_spelled(tmp_path: Path) -> None:
    """The decoded images are kept by content and name: a path with `..` in it sorts elsewhere than what it means."""
    table = [{"file": f"in/{number}.png", "caption": CAPTIONS[number]} for number in range(6)]
    write(tmp_path / "photos", table)
    plain = SPEC.load(configured(tmp_path / "photos"), ROOT)
    spelled = [row | {"file": f"../photos/{row['file']}"} if number % 2 else row for number, row in enumerate(table)]
    with (tmp_path / "photos" / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, spelled[0])
        writer.writeheader()
        writer.writerows(spelled)
    again = SPEC.load(configured(tmp_path / "photos"), ROOT)
    assert again.captions == plain.captions
    np.testing.assert_array_equal(again.inputs.numpy(), plain.inputs.numpy())
    np.testing.assert_array_equal(again.inputs[3].numpy(), decode_image(tmp_path / "photos" / "in" / "3.png", 8, 3))


def test_images_on_demand_are_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, rows())
    kept, waiting = (SPEC.load(configured(folder, in_memory=in_memory), ROOT) for in_memory in (True, False))
    np.testing.assert_array_equal(all_values(waiting.inputs).numpy(), kept.inputs.numpy())
    assert waiting.captions == kept.captions
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    with pytest.raises(RequestError, match=r"captioned-folder: 20 images .*captioned-folder\[in_memory=false\]"):
        SPEC.describe(configured(folder), ROOT)
