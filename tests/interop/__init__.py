"""Our MLS and somebody else's (the npm package ts-mls) in the same groups (M-16)."""
