"""What the training triples and the texts say about the answers of seen relations, without anything trained."""
