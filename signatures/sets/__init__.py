"""Rule sets that a user registers: where they lie, how they are run, and what they say.

    store = RuleStore(default_rules_dir())
    store.add(registered, read_sources(registered))
    rules = RuleSets([load_set(s, store.sources(s)) for s in store.for_image("wordpress:6.1")])
    findings = rules.match(request, parsed, client)

A set is known by a small file (:mod:`.registered`, :mod:`.store`); its rules are read where they
lie (:mod:`.sources`), with the exclusions of the user (:mod:`.exclusions`), compiled with databases
that are kept (:mod:`.compiled`), and matched (:mod:`.matching`), by fields as all detectors name
them (:mod:`.fields`). :mod:`.request_tests` and :mod:`.linting` are for those who write rules.
"""
