"""The shell around the three cores: command line, HTTP service, jobs, files and clock.

Everything that decides something about sound lives in `watermark`, about proofs in `ledger`, about music in
`generator`; this package composes them into two flows, `api.issuing` and `api.verification`.
"""
