"""Load generators and measurements behind `satomori bench`; never part of a test's verdict.

Starts Satomori as its users do (`satomori run`) and looks at what it stored; knows the stores of
`ingest` and the ground, not the composition root.
"""
