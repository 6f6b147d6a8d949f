"""How figures are called in MLflow: `SECTION/LEVEL.SCORE.MODEL`, in nights and in free experiments alike.

`city.WAPE` is the score of what the run is of: of the champion, or in a member's own run of the member. `city.WAPE.prophet` is a member's, told in
another's run. What is no plain score has a section before a slash: MLflow's charts show each section by itself, and its search takes the name in
backticks. Sections come after the levels in the alphabet, by which MLflow sorts its tables: plain scores stand first. Its compare view draws the
figure that was told first: levels are told in the order of `compare.LEVELS`.
"""

WEEKS = "weeks"  # curve: the week ahead is the step
WINDOWS = "windows"  # curve: the number of the cutoff is the step
WORTH = "worth"  # share by which a score rises without a member
USAGE = "usage"  # seconds and memory
VERSUS = "versus"  # share by which a score lies above that of the first recipe; below: negative
LOW, HIGH, P = (f"{VERSUS}_{part}" for part in ("low", "high", "p"))  # its 95 % interval, and p of no difference


def score(level: str, name: str, model: str = "", section: str = "") -> str:
    """Name of a score.

    Args:
        level: 'city', 'district', 'category', 'series' or 'all', the mean of them.
        name: such as 'WAPE'.
        model: a member, unless the run is its own or it is the champion.
        section: one of those above.
    """
    plain = f"{level}.{name}.{model}" if model else f"{level}.{name}"
    return f"{section}/{plain}" if section else plain


def usage(name: str) -> str:
    """Name of what a night took, such as 'seconds.fit'."""
    return f"{USAGE}/{name}"
