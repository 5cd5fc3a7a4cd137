"""The champion's journal: every sequence of moves, interrupted ones and those of other programs included."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ray_pipeline.errors import RegistryError
from ray_pipeline.registry import champion_history
from ray_pipeline.registry.champion_history import CHAMPION, champion_version, journal_of

NAME = "flight_delay"


class FakeClient:
    """MLflow's client, as far as the journal uses it; `fail_next` makes the next change of an alias fail."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(name=NAME, tags={}, aliases={})
        self.fail_next = False

    def search_registered_models(self, **_: Any) -> Any:
        return Page([self.model])

    def set_registered_model_tag(self, _: str, key: str, value: str) -> None:
        self.model.tags[key] = value

    def set_registered_model_alias(self, _: str, alias: str, version: str) -> None:
        self._fail()
        self.model.aliases[alias] = version

    def delete_registered_model_alias(self, _: str, alias: str) -> None:
        self._fail()
        self.model.aliases.pop(alias, None)

    def _fail(self) -> None:
        if self.fail_next:
            self.fail_next = False
            raise KeyboardInterrupt


class Page(list[Any]):
    """One page of a search; there is no further one."""

    token = None


class Champions:
    """The model of the test: the champions that no rollback and no revocation has undone, and who is champion now."""

    def __init__(self) -> None:
        self.past: list[int] = []
        self.now: int | None = None

    def set(self, version: int) -> None:
        if self.past[-1:] != [version]:
            self.past.append(version)
        self.now = version

    def rollback(self) -> bool:
        """Whether there was a champion to go back to."""
        earlier = self.past if self.now is None else self.past[:-1]
        if earlier:
            self.past, self.now = earlier, earlier[-1]
        return bool(earlier)

    def revoke(self) -> None:
        self.past.pop()
        self.now = None


def version(number: int, **tags: str) -> Any:
    stored = {"ray_pipeline.status": "registered", "ray_pipeline.scorecard": "passed", **tags}
    return SimpleNamespace(name=NAME, version=str(number), tags=stored)


numbers = st.integers(1, 4)
moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["register", "promote"]), numbers),
        st.tuples(st.sampled_from(["rollback", "revoke"]), st.none()),
    ),
    max_size=12,
)


def make(client: FakeClient, move: str, number: int | None) -> bool:
    """Makes a move; whether it was possible."""
    now = champion_version(client.model)
    if move == "register":
        champion_history.set_champion(client, NAME, number, CHAMPION)  # type: ignore[arg-type]
    elif move == "promote":
        champion_history.promote(client, version(number), force=False, reason=None)  # type: ignore[arg-type]
    elif move == "revoke" and now is not None:
        champion_history.revoke(client, version(now), CHAMPION, reason="a gate fails")
    elif move == "rollback":
        try:
            champion_history.rollback(client, NAME, reason=None)
        except RegistryError as error:
            assert "has had no champion before" in error.problems[0].found
            return False
    return True


@example(moves=[("promote", 1), ("promote", 2), ("revoke", None), ("rollback", None), ("rollback", None)])
@example(moves=[("promote", 1), ("promote", 2), ("promote", 1), ("rollback", None), ("rollback", None)])
@given(moves=moves)
def test_the_champion_is_that_of_a_plain_stack(moves: list[tuple[str, int | None]]) -> None:
    client, expected = FakeClient(), Champions()
    for move, number in moves:
        possible = make(client, move, number)
        if move in ("register", "promote"):
            expected.set(number)  # type: ignore[arg-type]
        elif move == "rollback":
            assert possible == expected.rollback()
        elif expected.now is not None:
            expected.revoke()
        assert champion_version(client.model) == expected.now


@example(moves=[("promote", 1), ("promote", 2), ("rollback", None), ("rollback", None)], interrupted=1)
@given(moves=moves, interrupted=st.integers(0, 12))
def test_a_move_that_is_interrupted_and_made_again_counts_once(
    moves: list[tuple[str, int | None]], interrupted: int
) -> None:
    client, twin = FakeClient(), FakeClient()
    for position, (move, number) in enumerate(moves):
        if position == interrupted:
            client.fail_next = True
            try:
                make(client, move, number)
            except KeyboardInterrupt:
                assert client.model.aliases == twin.model.aliases
            client.fail_next = False
        assert make(client, move, number) == make(twin, move, number)
        assert client.model.aliases == twin.model.aliases


def test_a_champion_that_another_program_has_set_is_in_the_history() -> None:
    client = FakeClient()
    make(client, "promote", 1)
    client.model.aliases[CHAMPION] = "2"
    make(client, "promote", 3)
    make(client, "rollback", None)
    assert champion_version(client.model) == 2
    client.model.aliases[CHAMPION] = "4"
    make(client, "revoke", None)
    make(client, "rollback", None)
    assert champion_version(client.model) == 2, "a version whose alias was revoked does not come back"


def test_the_journal_says_who_moved_the_alias_when_and_why_and_keeps_the_last_200_moves() -> None:
    client = FakeClient()
    for turn in range(champion_history.MAX_MOVES + 5):
        champion_history.promote(client, version(1 + turn % 2), force=False, reason=f"turn {turn}")
    journal = journal_of(client.model)
    assert [move["why"] for move in journal] == [f"turn {turn}" for turn in range(5, champion_history.MAX_MOVES + 5)]
    assert {(move["action"], move["from"], move["to"]) for move in journal} == {("promote", 1, 2), ("promote", 2, 1)}
    assert all(move["who"].count("@") == 1 and move["when"].endswith("+00:00") for move in journal)


def test_an_alias_other_than_champion_moves_without_the_journal() -> None:
    client = FakeClient()
    champion_history.set_champion(client, NAME, 3, "challenger")
    assert client.model.aliases == {"challenger": "3"}
    move = champion_history.revoke(client, version(3), "challenger", reason="a gate fails")
    assert (move["action"], move["from"], move["to"], move["alias"]) == ("revoke", 3, None, "challenger")
    assert client.model.aliases == {} and journal_of(client.model) == []


def test_the_champion_itself_is_promoted_without_a_move() -> None:
    client = FakeClient()
    make(client, "promote", 1)
    move = champion_history.promote(client, version(1), force=False, reason=None)
    assert (move["action"], move["from"], move["to"]) == ("none", 1, 1)
    assert len(journal_of(client.model)) == 1


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"ray_pipeline.scorecard": "refused"}, "the scorecard of flight_delay/1 says 'refused'"),
        ({"ray_pipeline.scorecard": ""}, "flight_delay/1 has no scorecard"),
        ({"ray_pipeline.status": "incomplete"}, "flight_delay/1 is incomplete"),
    ],
)
def test_a_version_without_a_passed_scorecard_is_not_promoted(tags: dict[str, str], found: str) -> None:
    client = FakeClient()
    with pytest.raises(RegistryError, match=found):
        champion_history.promote(client, version(1, **tags), force=False, reason=None)
    assert client.model.aliases == {} and client.model.tags == {}


def test_force_needs_a_reason_and_is_written_into_the_journal() -> None:
    client, refused = FakeClient(), version(1, **{"ray_pipeline.scorecard": "refused"})
    with pytest.raises(RegistryError) as caught:
        champion_history.promote(client, refused, force=True, reason=None)
    assert caught.value.problems[0].key == "--reason"
    assert champion_history.promote(client, refused, force=True, reason="it is better")["action"] == "force"
    assert [(move["action"], move["why"]) for move in journal_of(client.model)] == [("force", "it is better")]
