"""The language of filters by examples: for `lvmtui ls --columns help` and the help screen."""

EXAMPLES = (
    ("text", 'phase:3  phase=phase-3  name:demo*  note~"warm|cold"  tags:sweep  note=""'),
    ("number", "ctx>=500  ctx:100..500  params>10M  seed!=0  lr:none"),
    ("percent", "hit5>15  vs>0  skill:5..10"),
    ("time", "left<30m  duration>1h30m  p95<5ms"),
    ("date", "started<2d (less than two days ago)  started:today  ended>2026-11-22"),
    ("recipe", "train.weight_decay>0.01  model.head:composer (any field of the recipe, with a dot)"),
    ("together", "phase:3 hit5>15 -state:lost or (is:pinned not tags:old)"),
    ("a bare word", "is looked for in name, state, model, tags and note"),
)
"""What is filtered by, and how it is written."""
