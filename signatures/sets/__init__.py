"""Rule sets that a user registers: where they lie, how they are run, and what they say.

    registered, sources = register(Kind.CRS, [Path("/usr/share/modsecurity-crs")])
    RuleStore(default_rules_dir()).add(registered)

    rules = load_rules(sets_for("wordpress:6.1", None))
    findings = rules.match(request, parsed, client)

A set is known by a small file (:mod:`.registered`, :mod:`.store`); its rules are read where they
lie (:mod:`.sources`), with the exclusions of the user (:mod:`.exclusions`), compiled with the
engine's cache (:mod:`.compiled`), and matched (:mod:`.matching`), by fields as all detectors name
them (:mod:`.fields`). :mod:`.request_tests`, :mod:`.linting` and :mod:`.describing` are for those
who write rules.
"""
