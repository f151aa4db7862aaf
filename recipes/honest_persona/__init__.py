"""A second, honest persona in a language model: a LoRA adapter and one reserved token that review what it answered."""
