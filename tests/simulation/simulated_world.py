"""A world with one seed: a clock, machines and processes whose tasks run one at a time, in an order of chance.

A task is a thread. It runs until it calls `step`, where the world may advance the clock, let another task run, let the
process stand still for a while, or let it die.
"""

import random
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

MAX_STEPS = 20_000
STAYS = 0.75
"""How often a task goes on after a step: to let another thread run takes a millisecond on a busy machine."""


class Crash(BaseException):
    """The process has died: nothing that it does any more has an effect."""


class Violated(AssertionError):
    """An invariant does not hold."""


class Process:
    """A process on a machine: its tasks, and whether it lives."""

    def __init__(self, world: "World", machine: int) -> None:
        self.world, self.machine, self.pid = world, machine, len(world.processes) + 100
        self.dead = False
        self.ended = False
        self.paused_until = 0.0
        self.lease: Any = None
        self.run = ""


class Task:
    """A thread that waits for its turn."""

    def __init__(self, process: Process, target: Callable[[], object], name: str = "main") -> None:
        self.process, self.target, self.name = process, target, name
        self.turn, self.done, self.wakes = threading.Semaphore(0), False, process.world.now
        self.waits_for: Callable[[], bool] | None = None
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.process.world.tasks.append(self)
        self.thread.start()

    def join(self, timeout: float | None = None) -> None:
        self.process.world.wait(lambda: self.done, timeout)

    def is_alive(self) -> bool:
        return not self.done

    def _run(self) -> None:
        world = self.process.world
        self.turn.acquire()
        try:
            if not self.process.dead:
                self.target()
        except Crash:
            pass
        except BaseException as error:
            world.errors.append(error)
        self.done = True
        world.tasks.remove(self)
        world.hand_over()


class World:
    """One history: everything that happens in it follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.seed, self.random, self.clock = seed, random.Random(seed), random.Random(-seed - 1)
        self.now, self.steps = 1000.0, 0
        self.tasks: list[Task] = []
        self.processes: list[Process] = []
        self.errors: list[BaseException] = []
        self.current: Task | None = None
        self.faults_left = self.random.randint(0, 8)
        self.over = threading.Event()
        self.watchers: list[Callable[[], object]] = []
        self.log: list[str] = []
        self.rates = {
            name: self.random.choice([0.0, low, high])
            for name, low, high in (
                ("crash", 0.005, 0.03),
                ("pause", 0.005, 0.03),
                ("lost", 0.01, 0.05),
                ("repeated", 0.02, 0.1),
                ("answer lost", 0.01, 0.05),
                ("late", 0.02, 0.1),
            )
        }

    def chance(self, name: str) -> bool:
        """Whether this fault happens now; each history has a limited number of them."""
        if self.faults_left <= 0 or self.random.random() >= self.rates[name]:
            return False
        self.faults_left -= 1
        self.say(name)
        return True

    def say(self, text: str) -> None:
        """Note what happens, for those who read a failed history."""
        who = self.current and f"{self.current.process.pid}.{self.current.name}"
        self.log.append(f"{self.now:9.2f} {who} {text}")

    def start(self, machine: int, target: Callable[[Process], object]) -> Process:
        """Start a process whose main task calls the function."""
        process = Process(self, machine)
        self.processes.append(process)

        def main() -> None:
            try:
                target(process)
            finally:
                process.ended = True

        Task(process, main).start()
        return process

    def kill(self, process: Process) -> None:
        """Let the process die: its tasks unwind, and nothing that they do has an effect."""
        self.say(f"process {process.pid} dies")
        process.dead = True
        for task in self.tasks:
            if task.process is process:
                task.wakes, task.waits_for = self.now, None

    def run(self) -> None:
        """Run until no task is left; raise the first error."""
        self.hand_over()
        self.over.wait()
        if self.errors:
            raise self.errors[0]

    def step(self, *, crashes: bool = True) -> None:
        """Let time pass and others run; the process may stand still, or die."""
        task = self._mine()
        process = task.process
        if crashes and self.chance("crash"):
            self.kill(process)
            raise Crash
        if self.chance("pause"):
            process.paused_until = self.now + self.random.uniform(1, 40)
        elif self.random.random() < STAYS:
            self.now += self.random.uniform(0, 0.1)
            self._look()
            return
        task.wakes = self.now + self.random.uniform(0, 0.2)
        self._yield(task)

    def sleep(self, seconds: float) -> None:
        """Let so much time pass for the task."""
        task = self._mine()
        task.wakes = self.now + seconds
        self._yield(task)

    def wait(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something holds, or the time is up."""
        task = self._mine()
        if not until():
            task.wakes, task.waits_for = self.now + (1e9 if timeout is None else timeout), until
            self._yield(task)
            task.waits_for = None
        return until()

    def later(self, action: Callable[[], object]) -> None:
        """Do something in a while that no process waits for: a message that is late."""
        process = Process(self, -1)
        task = Task(process, action, "late message")
        task.wakes = self.now + self.random.uniform(0, 40)
        task.start()

    def hand_over(self) -> None:
        """Give the turn to the next task; end the world where there is none."""
        if not self.tasks or self.errors:
            self.over.set()
            for task in self.tasks:  # unwind what is left
                task.process.dead = True
            if self.tasks:
                self.tasks[0].turn.release()
            return
        self.steps += 1
        if self.steps > MAX_STEPS:
            self.errors.append(Violated("the history does not end"))
            self.hand_over()
            return
        self.current = self._next()
        self.current.turn.release()

    def _mine(self) -> Task:
        task = self.current
        assert task is not None
        if task.process.dead:
            raise Crash
        return task

    def _yield(self, task: Task) -> None:
        self._look()
        self.hand_over()
        task.turn.acquire()
        if task.process.dead:
            raise Crash

    def _look(self) -> None:
        """Call the watchers; what one of them raises ends the world."""
        for watch in self.watchers:
            try:
                watch()
            except BaseException as error:
                self.errors.append(error)

    def _next(self) -> Task:
        ready = [task for task in self.tasks if self._wakes(task) <= self.now]
        if not ready:
            self.now = min(map(self._wakes, self.tasks))
            ready = [task for task in self.tasks if self._wakes(task) <= self.now]
        return self.random.choice(ready)

    def _wakes(self, task: Task) -> float:
        wakes = self.now if task.waits_for is not None and task.waits_for() else task.wakes
        return self.now if task.process.dead else max(wakes, task.process.paused_until)


class Event:
    """`threading.Event` in the world."""

    def __init__(self, world: World) -> None:
        self.world, self.is_set_now = world, False

    def set(self) -> None:
        self.is_set_now = True

    def is_set(self) -> bool:
        return self.is_set_now

    def wait(self, timeout: float | None = None) -> bool:
        return self.world.wait(lambda: self.is_set_now, timeout)


def threading_in(world: Callable[[], World]) -> SimpleNamespace:
    """The part of the module `threading` that the lease uses."""

    def thread(target: Callable[[], object], name: str, daemon: bool) -> Task:
        task = world().current
        assert task is not None
        return Task(task.process, target, name)

    return SimpleNamespace(Thread=thread, Event=lambda: Event(world()))
