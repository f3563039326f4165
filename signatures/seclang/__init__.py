"""SecLang, the rule language of ModSecurity, and an engine for it that tests what can match.

    from cnaf.signatures.seclang.cache import Text, load_rules
    from cnaf.signatures.seclang.engine import Engine

    sources = [Text("set-up", "SecRuleEngine On"), setup_file, *rule_files]
    rules = load_rules(sources, {"blocking_paranoia_level": "1"}, cache=folder)
    outcome = Engine(rules).evaluate(request)          # cnaf.models.exchange.Request
    outcome.matches, outcome.score, outcome.interruption, outcome.limited

The way of a rule: text (:mod:`.reader`) → program, with inclusions and exceptions applied
(:mod:`.loader`) → what no request decides is worked out (:mod:`.folding`) → functions
(:mod:`.rules`) and the index of the prefilter (:mod:`.rule_set`, :mod:`.grouping`,
:mod:`.prefilter`) → stored under a digest of all that went in (:mod:`.cache`).

The way of a request: variables (:mod:`.transaction`) → all that transformations make of them
(:mod:`.variants`), scanned once a group of rules (:mod:`.scanner`, :mod:`.candidates`) →
candidates, and rules that imply no expression, run in order (:mod:`.engine`).

Semantics are those of libmodsecurity 3, phases 1 and 2 in full, 3 and 4 for status and headers of
the answer. What is not supported is refused by name when rules are loaded, with a
:class:`.errors.SecLangError`. Collections that ModSecurity keeps between requests (IP, GLOBAL,
SESSION, USER, RESOURCE) live as long as one request here.
"""
