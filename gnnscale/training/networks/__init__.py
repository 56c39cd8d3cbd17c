"""Networks: what each is given of a graph, how it is built, trained and asked, under its name in ``model.network``."""
