"""What a column's name says of its role. Names are split into words, in snake case and in camel case."""

import re

LABEL_NAMES = {"label", "target", "y", "class", "outcome", "response", "dependent"}
OUTCOMES = {
    *("churn", "churned", "default", "defaulted", "fraud", "survived", "attrition", "exited", "left", "converted"),
    *("conversion", "purchased", "bought", "clicked", "diagnosis", "readmitted", "deceased", "died", "approved"),
    *("price", "saleprice", "income", "revenue", "sales", "demand", "salary", "rating", "quality", "species"),
    *("result", "status", "score", "cnt", "cancelled", "canceled", "returned", "late", "delay", "delayed", "strength"),
}
IDS = {"id", "ids", "key", "uuid", "guid", "nr", "no", "number", "index", "rownum", "row"}
ID_ALONE = {"id", "ids", "uuid", "guid", "nr"}
"""Words that are the name of an id without another word; `number` and `no` are not."""
GROUPS = {
    *("subject", "patient", "user", "customer", "client", "account", "person", "member", "household", "student"),
    *("employee", "driver", "device", "machine", "borrower", "donor", "passenger", "visitor", "session"),
}
TIMES = {"time", "date", "timestamp", "ts", "datetime", "at", "day", "moment", "sched", "scheduled", "created", "asked"}
ENDS = {"end", "stop"}
NO_TIMES = {"birth", "birthday", "birthdate", "born", "dob", "updated", "modified", "loaded", "ingested", "available"}
KNOWN_AT = {"available", "known", "published", "loaded", "ingested", "created", "inserted", "recorded", "received"}
DATE_PARTS = {"year", "yr", "month", "mnth", "day", "hour", "hr", "minute", "second", "week", "weekday", "quarter"}
STEPS = {"year", "yr", "time", "period", "wave", "step", "t", "season", "round", "week", "month", "quarter", "day"}
SENSITIVE = {
    *("sex", "gender", "race", "ethnicity", "ethnic", "religion", "nationality", "nacionality", "age", "disability"),
    *("marital", "married"),
}
COUNTRIES = {"country", "countries", "nation", "nationality", "iso", "iso2", "cc", "ctry", "land", "pays", "pais"}
PART_NAMES = {"part", "split", "fold", "set", "partition", "subset"}

YES = {
    *("y", "yes", "true", "t", "1", "positive", "pos", "bad", "churn", "churned", "default", "defaulted", "fraud"),
    *("won", "success", "left", "ja", "wahr", "positiv", "oui", "vrai", "positif", "si", "sí", "sì", "vero"),
    *("verdadero", "positivo", "positiva", "sim", "verdadeiro", "да"),
}
YES_LETTERS = {"j", "o", "s", "v", "w"}
"""They mean yes beside a word for no, and nothing alone."""
NO = {
    *("n", "no", "false", "f", "0", "negative", "neg", "good", "nein", "falsch", "negativ", "non", "faux", "négatif"),
    *("negatif", "falso", "negativo", "negativa", "não", "nao", "нет"),
}


def words(name: str) -> set[str]:
    """The words of a name, in lower case.

    >>> sorted(words("customerID_of_account2"))
    ['2', 'account', 'customer', 'id', 'of']
    """
    found = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name) or [name]
    return {word.lower() for word in found}
