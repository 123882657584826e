"""Studies: models x ablations x seeds from one configuration, resumable, as one table."""

from .study import Study
from .validation import StudyError

__all__ = ["Study", "StudyError"]
