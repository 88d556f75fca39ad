"""Networks that know no model: masked, convolutional and causal ones, and the usual choice for a space."""
