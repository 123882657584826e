"""The parts of the models for unseen relations: evidence in the graph, generators, extractors of entity pairs."""
