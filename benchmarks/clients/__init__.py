"""One module a client: ``run(case, port, count, ca, meter)`` reads every row of a case and returns the sums it came to; ``NOTES`` by case."""
