"""Studies on scikit-learn's digits, run from a checkout and in no wheel."""
