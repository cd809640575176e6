"""Make pixelnano's tokenizer out of captions: byte pairs, so that any prompt is accepted.

python -m train.make_tokenizer data/sprites32 data/tiles32

Reads the captions of prepared data sets, all splits, and writes ``assets/pixelnano/tokenizer``.
Deterministic given the captions. A model is trained with one tokenizer and loads no other.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from pipeline.core.errors import one_line_errors
from pipeline.core.files import write_atomic
from pipeline.data.dataset import Dataset
from pipeline.models.pixelnano import TOKENIZER

VOCABULARY = 2304
MARKS = ("<|startoftext|>", "<|endoftext|>")
END_OF_WORD = "</w>"
RECOLOURED = "recoloured"
"""What the loader may put after a caption (``data.recolour_word``)."""


def make_tokenizer(captions: Iterable[str], *, like: Path = TOKENIZER) -> str:
    """Return ``tokenizer.json``: CLIP's splitting and case folding, pairs learnt from captions.

    Args:
        captions: What to learn pairs from; order does not matter.
        like: Folder of a tokenizer whose normaliser, splitting and special tokens are kept.
    """
    tokenizer = Tokenizer.from_file(str(like / "tokenizer.json"))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Every byte, inside a word and at its end: a word of any script is spelled, none is unknown.
    # Given as special tokens they take fixed ids; the trainer numbers letters at random, and ties
    # between pairs go by number.
    bytes_ = [*letters, *(letter + END_OF_WORD for letter in letters)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[*MARKS, *bytes_],
        end_of_word_suffix=END_OF_WORD,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(captions), trainer)
    made = json.loads(tokenizer.to_str())
    made["added_tokens"] = [t for t in made["added_tokens"] if t["content"] in MARKS]
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


@one_line_errors
def main() -> int:
    """Write the tokenizer."""
    parser = argparse.ArgumentParser(prog="python -m train.make_tokenizer")
    parser.add_argument("datasets", type=Path, nargs="+", help="folders that jobs.prepare made")
    captions = [
        caption
        for path in parser.parse_args().datasets
        for split in ("train", "validation")
        for shown in Dataset.open(path).split(split).captions
        for caption in (shown, f"{shown} {RECOLOURED}")
    ]
    write_atomic(TOKENIZER / "tokenizer.json", make_tokenizer(captions).encode())
    made = CLIPTokenizer.from_pretrained(TOKENIZER)
    longest = max(len(made(caption)["input_ids"]) for caption in captions)
    sys.stdout.write(f"{TOKENIZER}: {len(made)} tokens; the longest caption takes {longest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
