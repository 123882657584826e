"""A small random graph, and its links as plain sets."""

from dataclasses import dataclass

import torch

from pykeen_mmkg.nn.evidence.queries import DirectedTriples, Queries

N, R = 9, 3


@dataclass
class Graph:
    """A graph in the form of the package, and as a set of directed triples."""

    triples: torch.Tensor

    @property
    def index(self) -> DirectedTriples:
        return DirectedTriples(self.triples, N, R)

    @property
    def facts(self) -> set[tuple[int, int, int]]:
        both = set()
        for h, r, t in self.triples.tolist():
            both |= {(h, r, t), (t, r + R, h)}
        return both

    def without(self, h: int, r: int, t: int | None) -> set[tuple[int, int, int]]:
        """Return the directed triples but for one, seen from both ends."""
        own = {} if t is None else {(h, r, t), (t, (r + R) % (2 * R), h)}
        return self.facts.difference(own)

    def all_queries(self, leave_out: bool) -> tuple[Queries, list[tuple[int, int, int | None]]]:
        """Return all queries, or those of all training triples in both directions."""
        rows: list[tuple[int, int, int | None]] = [(h, r, None) for h in range(N) for r in range(2 * R)]
        own = None
        if leave_out:
            rows = [*sorted(self.facts)]
            own = torch.tensor([t for _, _, t in rows])
        heads, relations = (torch.tensor([row[i] for row in rows]) for i in (0, 1))
        return Queries(heads, relations, N, R, own=own), rows


def make_graph(seed: int, n: int = 40) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    columns = [torch.randint(top, (n,), generator=generator) for top in (N, R, N)]
    triples = torch.stack(columns, dim=-1)
    # a repeated triple counts once, and a loop is a link as others
    return Graph(torch.cat([triples, triples[:3], torch.tensor([[2, 1, 2]])]))
