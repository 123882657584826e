"""What decided an answer: training triples and common words, each with how much it says."""

from typing import NamedTuple

__all__ = ["Reason"]


class Reason(NamedTuple):
    """A piece of evidence for one answer.

    :param part: the part of the evidence that it belongs to
    :param strength: the confidence of a rule, the weight of a similar entity, the cosine to a known answer, or what a
        common word adds to the cosine of two texts
    :param triples: the directed training triples that it rests on, as ids; the relation ``2 R`` leads to a similar text
    :param words: the stems of words that both texts have
    """

    part: str
    strength: float
    triples: tuple[tuple[int, int, int], ...] = ()
    words: tuple[str, ...] = ()
