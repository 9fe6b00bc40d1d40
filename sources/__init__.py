"""What a user gives: a model file or a module, pictures and arrays, and what was done to them in training."""
