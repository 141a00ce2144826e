"""Language identification by fastText (Joulin et al. 2016)."""

from collections.abc import Sequence
from pathlib import Path

from mt.errors import InputError
from mt.loading import read_provenance

FILE = "lid.176.ftz"
LABEL = "__label__"
ALL_LABELS = -1


class LanguageId:
    """fastText's lid.176: a distribution over 176 languages for each text."""

    def __init__(self, folder: Path) -> None:
        """Load the model from `folder`; fastText believes whatever a damaged file says, so its SHA-256 comes first.

        Raises:
            InputError: it is not there, is not what provenance.json names, or is no fastText model.
        """
        import fasttext

        path = folder / FILE
        if not path.is_file():
            raise InputError(f"{path}: not found; run `dvc repro` to make it")
        read_provenance(folder, (), [FILE])
        try:
            self._model = fasttext.load_model(str(path))
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: no fastText model ({error}); remove it and run `dvc repro`") from error

    def probabilities(self, texts: Sequence[str], language: str) -> list[float]:
        """Give, for each text, the probability that it is in `language` (ISO 639-1), in [0, 1].

        White space counts as one space, and an empty text has the probability 0 of every language.
        """
        return [self._probability(text, LABEL + language) for text in texts]

    def _probability(self, text: str, label: str) -> float:
        line = " ".join(text.split())
        if not line:
            return 0.0
        labels, probabilities = self._model.predict(line, k=ALL_LABELS)
        found = dict(zip(labels, probabilities, strict=True))
        return min(1.0, float(found.get(label, 0.0)))
