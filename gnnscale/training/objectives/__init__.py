"""What is learned of examples: what stands beside their batches, the loss, and the validation."""
