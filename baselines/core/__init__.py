"""What the algorithms share: rollouts, packing, formulas, language-model policies, the runner."""
