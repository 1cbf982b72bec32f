"""The metrics of a score file: each protocol measures its own."""

from __future__ import annotations

from gelo.tasks.protocols import score_files
from gelo.tasks.protocols.tally import Context
from gelo.tasks.results import Result
from gelo.tasks.scorefiles.scorefile import ScoreFile


def measure(file: ScoreFile) -> Result:
    """The result of one file, its metrics named as those of an encoder, the file's name in the data set's place,
    a domain as the file calls it.

    Notes say how the direction was read, what stands for a column that is not there, and warn of scores that separate
    nothing or look reversed. Raises UserError as the protocol of that name does.
    """
    # No image and no encoder was seen: only the file's own fingerprint is known.
    context: Context = {"data": file.digest, "vision": "", "text": "", "scale": "full"}
    notes = {"direction": "distance, negated: higher = genuine"} if file.distance else {}
    result = score_files()[file.protocol].measure(file, notes, context)
    said = {**notes, **result.notes}
    if "warning" in said and "AUC" in said["warning"]:
        other = "score" if file.distance else "distance"
        said["warning"] += f"; if that is the file's direction, name its column `{other}`"
    return result.model_copy(update={"notes": said})
