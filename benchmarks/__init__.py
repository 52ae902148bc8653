"""How fast, how lean and how smooth is aiogmail, beside what else there is? ``python -m benchmarks --help``."""
