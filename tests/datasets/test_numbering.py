"""The ids of a graph: the place of a label among all labels in their order, and the row that it had in the table."""

from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.datasets.numbering import Numbering
from pykeen_mmkg.datasets.tables import ModalityTable

LABELS = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(LABELS, st.lists(LABELS, max_size=3), st.booleans())
def test_ids_are_places_in_the_order_of_labels(rows: list[str], parts: list[list[str]], given: bool):
    table = None
    if given:
        table = ModalityTable(
            tuple(rows), tuple(f"name {x}" for x in rows), tuple(f"text {x}" for x in rows), ((),) * len(rows)
        )
    numbering = Numbering(table, "entity")
    known = set(rows) if given else set()
    assert numbering.given == given
    for labels in parts:
        assert numbering.rows(labels).tolist() == [rows.index(x) if x in known else -1 for x in labels]
    complete, ids = numbering.complete(iter(parts + parts[:1]))
    expected = sorted(known.union(*parts))
    assert complete.labels == tuple(expected)
    assert complete.names == tuple(f"name {x}" if x in known else "" for x in expected)
    assert complete.descriptions == tuple(f"text {x}" if x in known else "" for x in expected)
    assert [own.tolist() for own in ids] == [[expected.index(x) for x in labels] for labels in parts + parts[:1]]


def test_labels_that_splits_share_are_looked_up_once():
    numbering = Numbering(ModalityTable.from_labels("ab"), "entity")
    shared = ["b", "c"]
    assert numbering.rows(shared) is numbering.rows(shared)
    assert numbering.rows(list(shared)) is not numbering.rows(shared)
