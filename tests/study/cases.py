"""A small study."""

CONFIG = {
    "name": "small",
    "base": {
        "dataset": "nations",
        "model": "distmult",
        "model_kwargs": {"embedding_dim": 4},
        "training_kwargs": {"num_epochs": 2, "use_tqdm": False},
    },
    "variants": {"wide": {"model_kwargs": {"embedding_dim": 8}}, "complex": {"model": "complex"}},
    "seeds": [0, 1],
    "protocols": {"standard": None, "pool": {"protocol": "relation-pool", "targets": ["tail"]}},
    "baselines": {"inverse rule": {"model": "inverserule"}},
    "metrics": ["mrr", "hits@10"],
}
