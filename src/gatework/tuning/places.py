"""Where a study is kept: a journal in its folder, or a database that workers on several machines share.

Every place says whose turn it is, so that two workers never decide on the same trial, and closes the trials of the
dead: in a folder a dead process is known by its lock, in a database by its heartbeat, which has stopped.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote_plus

from gatework.errors import FileFormatError, OptionError, TrainingError
from gatework.extras import explained
from gatework.training import locks
from gatework.training.locks import FileLock

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import Trial
    from sqlalchemy import URL

JOURNAL, NAME, WORKER = "journal.jsonl", "gatework", "worker"
DRIVERS = ("postgresql+psycopg2", "sqlite")
HEARTBEAT, GRACE = 15, 60  # seconds between signs of life, and after the last one until a trial counts as lost
WAIT = 60  # seconds for a file that another process writes
TURN = "SELECT pg_advisory_xact_lock(hashtext('gatework'))"
AT_MOST = "SET LOCAL idle_in_transaction_session_timeout = '5min'"  # of a machine that lost its power in its turn


class Place(Protocol):
    """What a search asks of the place of its study."""

    @property
    def name(self) -> str:
        """The study's name there."""
        ...

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        ...

    def turn(self) -> AbstractContextManager[object]:
        """One process at a time, on all machines, is inside."""
        ...

    def storage(self) -> BaseStorage: ...

    def began(self, study: optuna.Study, trial: Trial, worker: str) -> None:
        """Notes in our turn who runs a trial."""
        ...

    def running(self, study: optuna.Study, trial: Trial) -> AbstractContextManager[object]:
        """Inside, others see that the trial lives."""
        ...

    def forget_dead(self, study: optuna.Study) -> None:
        """Closes, in our turn, the trials whose process is gone; they do not count."""
        ...

    def guarded(self) -> AbstractContextManager[object]:
        """What the place raises becomes an error that names it, and holds no password."""
        ...


def place_of(folder: Path, storage: str | None) -> Place:
    """The journal in a folder, or the database of a URL; an OptionError for a URL that is none of ours."""
    return Folder(folder) if storage is None else Database(folder, storage)


@dataclass(frozen=True)
class Folder:
    """A journal, for the processes of one machine."""

    folder: Path
    name = NAME

    @property
    def shown(self) -> str:
        return str(self.folder)

    def turn(self) -> FileLock:
        return FileLock(self.folder / "study.lock")

    def storage(self) -> BaseStorage:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = self.folder / JOURNAL
        lock: Any = FileLock(path.with_suffix(".lock"))  # of the two methods that Optuna calls
        with lock:
            _mend(path)
        try:
            with quiet():
                return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        except (ValueError, KeyError, TypeError) as error:
            raise FileFormatError(
                f"{path} is damaged ({error}); restore it from a copy, or choose another folder"
            ) from error

    def began(self, study: optuna.Study, trial: Trial, worker: str) -> None:
        trial.set_user_attr(WORKER, worker)

    @contextmanager
    def running(self, study: optuna.Study, trial: Trial) -> Iterator[None]:
        yield

    def forget_dead(self, study: optuna.Study) -> None:
        for trial in _running(study):
            if not locks.alive(self.folder, trial.user_attrs.get(WORKER)):
                _lose(study, trial.number)
        locks.sweep(self.folder)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Database:
    """A database, for workers on several machines; the study has the name of the folder.

    Raises: OptionError for a URL that is none, or of another kind; MissingExtraError without the driver.
    """

    folder: Path
    address: str = field(repr=False)  # with the password, if it has one

    def __post_init__(self) -> None:
        if self.url.drivername not in DRIVERS:
            raise OptionError(f"storage: {self.url.drivername}:// is not known; give postgresql:// or sqlite://")
        if self._file is not None and self.url.database in (None, "", ":memory:"):
            raise OptionError("storage: a study in memory ends with its process; give sqlite:///FILE")
        try:
            self.url.get_dialect().import_dbapi()
        except ImportError as error:
            raise explained(error) from error

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def shown(self) -> str:
        """The URL without password and options."""
        from sqlalchemy import URL

        url = self.url
        return URL.create(
            url.get_backend_name(), url.username, None, url.host, url.port, url.database
        ).render_as_string()

    @cached_property
    def url(self) -> URL:
        from sqlalchemy.engine import make_url

        try:
            url = make_url(self.address)
        except Exception:  # its words may hold the password
            raise OptionError(
                "storage is no URL of a database, such as postgresql://USER@HOST/NAME; a password with one of / @ : # "
                "stands better in ~/.pgpass"
            ) from None
        plain = url.drivername == "postgresql"  # whose driver depends on SQLAlchemy's version
        return url.set(drivername=DRIVERS[0]) if plain else url

    @property
    def _file(self) -> Path | None:
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None

    @property
    def _arguments(self) -> dict[str, Any]:
        return {"connect_args": {"timeout": WAIT} if self._file else {"connect_timeout": WAIT}}

    @contextmanager
    def turn(self) -> Iterator[None]:
        import sqlalchemy

        if self._file is not None:
            with FileLock(self._file.with_name(self._file.name + ".lock")):
                yield
            return
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool, **self._arguments)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(AT_MOST))
            connection.execute(sqlalchemy.text(TURN))
            yield

    def storage(self) -> BaseStorage:
        from optuna.storages import RDBStorage

        url = self.url.render_as_string(hide_password=False)
        with quiet():
            return RDBStorage(
                url,
                engine_kwargs={"pool_pre_ping": True, **self._arguments},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
            )

    def began(self, study: optuna.Study, trial: Trial, worker: str) -> None:
        _beat(study, trial)
        trial.set_user_attr(WORKER, worker)  # last: in another's turn, a trial without it is one of a dead process

    @contextmanager
    def running(self, study: optuna.Study, trial: Trial) -> Iterator[None]:
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT):
                with suppress(*_failures()):  # the next may succeed; where none does, the trial's own words tell it
                    _beat(study, trial)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def forget_dead(self, study: optuna.Study) -> None:
        from optuna.storages import fail_stale_trials

        with quiet():
            fail_stale_trials(study)
        for trial in _running(study):
            if WORKER not in trial.user_attrs:
                _lose(study, trial.number)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        try:
            yield
        except _failures() as error:
            raise TrainingError(
                f"the database {self.shown} fails: {self._words(error)}; the same command goes on with the search"
            ) from None

    def _words(self, error: BaseException) -> str:
        while deeper := getattr(error, "orig", None) or error.__cause__:
            error = deeper
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        for secret in self._secrets():
            text = text.replace(secret, "***").replace(quote_plus(secret), "***")
        return text

    def _secrets(self) -> list[str]:
        query = [value for name, value in self.url.query.items() if "password" in name and isinstance(value, str)]
        return [each for each in (self.url.password, *query) if each]


def _mend(path: Path) -> None:
    """Cuts off a last line that was not written to its end."""
    if path.exists() and (data := path.read_bytes()) and not data.endswith(b"\n"):
        path.write_bytes(data[: data.rfind(b"\n") + 1])


def _beat(study: optuna.Study, trial: Trial) -> None:
    """A sign of life by the database's own clock. Optuna sends them itself only where it runs the trials."""
    storage: Any = study._storage
    storage.record_heartbeat(trial._trial_id)


def _running(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    import optuna

    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))


def _lose(study: optuna.Study, number: int) -> None:
    import optuna

    study.tell(number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def _failures() -> tuple[type[Exception], ...]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return StorageInternalError, SQLAlchemyError


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's words that a part of it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
