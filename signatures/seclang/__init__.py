"""SecLang, the rule language of ModSecurity, and an engine for it that tests what can match.

    from cnaf.signatures.seclang.engine import Engine
    from cnaf.signatures.seclang.rule_set import compile_rules

    rules = compile_rules([setup, *rule_files], {"blocking_paranoia_level": "1"})
    outcome = Engine(rules).evaluate(request)          # cnaf.models.exchange.Request
    outcome.matches, outcome.score, outcome.interruption, outcome.limited

The way of a rule: text (:mod:`.reader`) → program, with inclusions and exceptions applied
(:mod:`.loader`) → what no request decides is worked out (:mod:`.folding`) → functions
(:mod:`.rules`) and the index of the prefilter (:mod:`.rule_set`, :mod:`.prefilter`).

The way of a request: variables (:mod:`.transaction`) → candidates by one Hyperscan pass over each
distinct outcome of transformations → candidates, and the rules that imply no expression, run in
order (:mod:`.engine`).

Semantics are those of libmodsecurity 3, phases 1 and 2 in full, 3 and 4 for status and headers of
the answer. What is not supported is refused by name when rules are loaded, with a
:class:`.errors.SecLangError`. Collections that ModSecurity keeps between requests (IP, GLOBAL,
SESSION, USER, RESOURCE) live as long as one request here.
"""
