"""Labels in the order of their ids."""

from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.datasets import labels_in_order


@given(st.lists(st.text(), unique=True), st.randoms(use_true_random=False))
def test_order_of_the_ids(labels: list[str], random: object) -> None:
    items = list(enumerate(labels))
    random.shuffle(items)
    assert list(labels_in_order({label: i for i, label in items})) == labels
