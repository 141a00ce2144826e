"""What score.py computes of each segment of a file without a model, for bench/growth.py: `features_of.py FILE`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "stages"))

from mt.features import Settings, text_features  # noqa: E402 (stages/ must be found first)
from mt.prompt import Languages  # noqa: E402
from mt.segments import read_segments  # noqa: E402

SETTINGS = Settings(Languages("en", "ja"), ("English:", "Japanese:"), repetition_ngram=3, copy_ngram=3)

if __name__ == "__main__":
    for segment in read_segments(Path(sys.argv[1]), ("src", "tgt")):
        text_features(segment["src"], segment["tgt"], SETTINGS)
