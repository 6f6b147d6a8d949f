"""Recodings: what was filed under codes of former days, told in the codes of today.

A recoding says that from a day on the tickets of one code are filed under others, each with a share. What is left of 1 stays. Only days before it
are carried over: what is filed under the old code afterwards is meant so. Recodings of one day happen at once (two codes may swap), those of
different days one after the other.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from forecasting.errors import InputError

COLUMNS = ["old", "new", "valid_from", "share"]
_ROUNDING = 1e-9  # shares written as decimals need not add up to 1 exactly


@dataclass(frozen=True)
class CategoryMap:
    """Recodings of categories.

    Attributes:
        table: frame of `old`, `new`, `valid_from` (day), `share` (over 0, at most 1), sorted by day.
    """

    table: pd.DataFrame

    @classmethod
    def of(cls, table: pd.DataFrame) -> "CategoryMap":
        """Checks and sorts recodings.

        Raises:
            InputError: a share that is none, or shares of a code that are more than the whole.
        """
        share = table["share"].astype(float)
        if not ((share > 0) & (share <= 1)).all():
            raise InputError("a share is not over 0 and at most 1", "category map", "write 0.3 for 30 %")
        whole = share.groupby([table["old"], table["valid_from"]]).transform("sum")
        if (whole > 1 + _ROUNDING).any():
            greatest = table["old"].iloc[int(np.argmax(whole.to_numpy()))]
            raise InputError(f"the shares of '{greatest}' are more than 1", "category map", "what is left of 1 stays where it is")
        plain = table.assign(valid_from=pd.to_datetime(table["valid_from"]), share=share)
        return cls(plain[COLUMNS].sort_values(["valid_from", "old", "new"], kind="stable").reset_index(drop=True))

    def known_by(self, cutoff: date | pd.Timestamp) -> "CategoryMap":
        """The recodings in force for a forecast from the end of a day: those valid on the day after it or before."""
        return CategoryMap(self.table[self.table["valid_from"] <= pd.Timestamp(cutoff) + pd.Timedelta(days=1)].reset_index(drop=True))

    @property
    def codes(self) -> list[str]:
        """The C codes that are mapped from or to, sorted."""
        return sorted({*self.table["old"], *self.table["new"]})

    def shares(self) -> tuple[pd.DatetimeIndex, np.ndarray]:
        """Which share of a code's tickets belongs to which code today.

        Returns:
            The K days on which recodings became valid, and [K + 1, C, C] shares from code to code: the first of days before the first of
            them, the last (nothing is carried over) of days from the last on. Rows add up to 1.
        """
        place = {code: at for at, code in enumerate(self.codes)}
        changes = pd.DatetimeIndex(sorted(self.table["valid_from"].unique()))
        carried = np.tile(np.eye(len(place)), (len(changes) + 1, 1, 1))
        for at in range(len(changes) - 1, -1, -1):
            step = np.eye(len(place))
            rows = self.table[self.table["valid_from"] == changes[at]]
            old, new = rows["old"].map(place).to_numpy(), rows["new"].map(place).to_numpy()
            np.subtract.at(step, (old, old), rows["share"].to_numpy())
            np.add.at(step, (old, new), rows["share"].to_numpy())
            carried[at] = step.clip(0.0) @ carried[at + 1]
        return changes, carried

    def carry(self, counts: pd.DataFrame) -> pd.DataFrame:
        """Counts in the codes of today.

        Args:
            counts: frame of `category`, `date`, `count` and any other key.
        Returns:
            The same columns, `count` a float; cells without anything are left out, the total of a day and the other keys stays.
        """
        if self.table.empty:
            return counts
        codes = np.array(self.codes, dtype=object)
        concerned = counts["category"].isin(list(codes)).to_numpy()
        changes, carried = self.shares()
        epoch, old, new = np.nonzero(carried)
        step = pd.DataFrame({"epoch": epoch, "category": codes[old], "new": codes[new], "share": carried[epoch, old, new]})
        rows = counts[concerned].assign(epoch=changes.searchsorted(counts.loc[concerned, "date"], side="right"))
        rows = rows.merge(step.astype({"category": rows["category"].dtype}), on=["epoch", "category"])
        rows = rows.assign(category=rows["new"].astype(rows["category"].dtype), count=rows["count"] * rows["share"])
        keys = [name for name in counts.columns if name != "count"]
        moved = rows.groupby(keys, sort=False, observed=True)["count"].sum().reset_index()
        return pd.concat([counts[~concerned].astype({"count": float}), moved[moved["count"] > 0]], ignore_index=True)[list(counts.columns)]


NONE = CategoryMap(pd.DataFrame({"old": [], "new": [], "valid_from": pd.DatetimeIndex([]), "share": []}))
"""No recoding."""
