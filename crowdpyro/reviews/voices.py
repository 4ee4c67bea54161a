"""Who a reviewer is, as far as their own words tell: a profile of mixed traits, one of them an embedding of text.

The embedding of a person is the mean of the principal components (`TextComponents`, fitted on training reviews) of
their lines; whoever wrote nothing that may be read is `silent` and stands at the mean. The other traits are how much
they write and how many reviews they wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataError
from ..text import TextComponents, TextEncoder

SPOKEN, SILENT = "spoken", "silent"
# Order of the trait `reviews`.
ACTIVITY = ("none", "one", "two or three", "four or more")


@dataclass(frozen=True, eq=False)
class Voices:
    """Profiles read off texts.

    Attributes
    ----------
    components
        Fitted on training reviews.
    """

    components: TextComponents

    @classmethod
    def fit(cls, words: pd.DataFrame, encoder: TextEncoder, n_components: int = 4) -> Voices:
        """Learn the components from training reviews: column `line`, as of `ReviewProblems.words`.

        Raises
        ------
        DataError
            When there are no words.
        ModelError
            When `n_components` is below 1.
        """
        if not len(words):
            raise DataError("words has no line; give reviews of training products.")
        return cls(TextComponents(encoder, n_components).fit(list(words["line"].drop_duplicates())))

    def profiles(self, words: pd.DataFrame, participants: pd.Index) -> pd.DataFrame:
        """Profiles of participants, from those of these words that are theirs.

        Returns
        -------
        DataFrame
            Indexed by participant: `voice` (spoken or silent), `reviews` (an ordered trait), `length` (log of a line's
            mean characters) and `voice_0`, `voice_1`, ...
        """
        theirs = words[words["participant"].isin(participants)]
        n = theirs.groupby("participant").size().reindex(participants, fill_value=0)
        logs = pd.Series(np.log1p(theirs["line"].str.len().to_numpy(dtype=float)), index=theirs.index)
        length = logs.groupby(theirs["participant"]).mean()
        frame = pd.DataFrame(index=participants)
        frame["voice"] = np.where(n > 0, SPOKEN, SILENT)
        band = np.searchsorted([1, 2, 4], n.to_numpy(), side="right")
        kinds = pd.CategoricalDtype(list(ACTIVITY), ordered=True)
        frame["reviews"] = pd.Series([ACTIVITY[each] for each in band], index=participants, dtype=kinds)
        frame["length"] = length.reindex(participants).fillna(length.mean() if len(length) else 0.0)
        values = np.zeros((len(participants), self.components.n_components_))
        if len(theirs):
            each = self.components.transform(list(theirs["line"])).astype(float)
            rows = participants.get_indexer(pd.Index(theirs["participant"]))
            np.add.at(values, rows, each)
            values /= n.to_numpy().clip(min=1)[:, None]
        for place, column in enumerate(values.T):
            frame[f"voice_{place}"] = column
        return frame
