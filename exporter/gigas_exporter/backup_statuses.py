"""The outcome of a backup: usable, failed, unfinished, or not understood.

It owns the meaning of a backup's status. It knows neither the API's JSON nor any metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from gigas_exporter.model import Backup
from gigas_exporter.status_words import (
    DISK_ERROR_WORDS,
    is_doubtful,
    is_negated,
    is_opposed,
    matches_any,
    parse_words,
    says_more,
    type_in_text,
)

BackupOutcome = Literal["usable", "failed", "unfinished", "unclear", "locked_or_empty"]

MAX_STATUSES = 20
"""How many different statuses of an account's backups are counted separately."""
OTHER_STATUSES = "other"
"""The name under which all further statuses are counted."""


@dataclass(frozen=True, slots=True)
class BackupStatuses:
    """Status words that decide a backup's outcome (see :func:`.matches_any`).

    The API's statuses are undocumented. A backup whose status matches no word is usable, and a metric shows the status,
    unless another word in it makes that doubtful (``job failed at step 3``, ``not available``).

    Attributes:
        failed: Words for a backup that failed.
        unfinished: Words for one that is not finished, or is gone.
        good: Words for one that is usable even while it is locked.
    """

    failed: frozenset[str] = parse_words(
        "abnormal, abnormally, abort, abortada, abortado, aborted, aborting, anulada, anulado, ausente, bad, broken,"
        " cancelada, cancelado, canceled, cancelled, corrompida, corrompido, corrupt, corrupta, corrupted, corruption,"
        " corrupto, crashed, damaged, dañada, dañado, defunct, degraded, denegada, denegado, denied, detenida,"
        " detenido, dirty, disk full, err, erreur, erronea, erroneo, error, errored, errores, errors, errónea, erróneo,"
        " exceeded, exception, exceptions, fail, failed, failing, failure, failures, fallada, fallado, fallida,"
        " fallido, fallo, fallos, falló, fatal, faulted, faulty, fracasada, fracasado, halted, hung, inaccesible,"
        " inconsistent, inservible, insufficient, insufficient space, interrumpida, interrumpido, interrupted,"
        " inutilizable, invalid, invalida, invalidated, invalido, inválida, inválido, killed, ko, lost, mismatch,"
        " missing, no space, nok, not successful, nula, nulo, out of quota, out of space, perdida, perdido, problems,"
        " quota exceeded, rechazada, rechazado, refused, rejected, reverted, rolled back, stalled, stopped, stuck,"
        " terminated, time out, timed out, timeout, truncada, truncado, truncated, unavailable, unhealthy, unreadable,"
        " unsuccessful, unusable"
    )
    unfinished: frozenset[str] = parse_words(
        "a medias, accepted, allocating, backing up, begin, begun, blocked, bloqueada, bloqueado, borrada, borrado,"
        " borrando, building, busy, caducada, caducado, canceling, cancelling, committing, compressing, converting,"
        " copiando, copying, creando, creating, creation, deactivated, deleted, deleting, deletion, desactivada,"
        " desactivado, desconocido, destroyed, destroying, destruida, destruido, disabled, draft, dropped, ejecutando,"
        " eliminada, eliminado, eliminando, empty, en cola, en construccion, en construcción, en creacion, en creación,"
        " en curso, en ejecucion, en ejecución, en espera, en marcha, en pausa, en preparacion, en preparación, en"
        " proceso, en progreso, encolada, encolado, encrypting, enqueued, erased, espera, esperando, executing,"
        " expirada, expirado, expired, expiring, finalizing, frozen, generando, gone, guardando, held, importing, in"
        " creation, in progress, inacabado, incompleta, incomplete, incompleto, iniciada, iniciado, iniciando, init,"
        " initial, initializing, initiated, inprogress, lapsed, locked, merging, migrating, moving, n/a, not built, not"
        " complete, not completed, not finished, not ready, obsolete, on hold, ongoing, orphan, orphaned, outstanding,"
        " overwritten, parada, parado, parcial, parcialmente, partial, pausada, pausado, paused, pendiente, pending,"
        " planned, preparando, preparing, procesando, processing, programada, programado, pruned, purgada, purgado,"
        " purged, purging, quarantined, queue, queued, receiving, recycled, removed, removing, replicating, requested,"
        " retired, retry, retrying, revoked, run, running, saving, scheduled, sending, skipped, snapshotting,"
        " solicitada, solicitado, stale, start, started, starting, stopping, streaming, subiendo, submitted,"
        " superseded, suprimida, suprimido, suspended, suspendida, suspendido, syncing, taking, to delete,"
        " transferring, trash, unbuilt, undefined, unfinished, unknown, unverified, updating, uploading, vacio, vacía,"
        " vacío, validating, vencida, vencido, verifying, wait, waiting, wiped, working, writing"
    )
    good: frozenset[str] = parse_words(
        "activa, active, activo, archived, available, built, completada, completado, complete, completed,"
        " correcta, correcto, created, disponible, done, exitosa, exitoso, finalizada, finalizado, finished, good,"
        " healthy, hecha, hecho, lista, listo, normal, ok, okay, online, present, ready, realizada, realizado,"
        " stored, succeeded, success, successful, terminada, terminado, usable, valid, verified, válida, válido"
    )

    def outcome(self, backup: Backup) -> BackupOutcome:
        """Return a backup's outcome.

        ``unclear``: a field was not understood, or two fields contradict each other. ``locked_or_empty``: only a good
        status would make the backup usable.
        """
        word = None if backup.status is None else self.match(backup.status)
        if word == "failed" or backup.has_error:
            return "failed"
        if word == "unfinished" or backup.built is False:
            return "unfinished"
        is_cut = backup.status is not None and "status" in backup.unknown
        if word == "unclear" or is_cut or not _CONTRADICTING.isdisjoint(backup.unknown):
            return "unclear"
        if word == "good":
            return "usable"
        if backup.locked or (backup.status is None and backup.size_bytes == 0):
            return "locked_or_empty"
        deciding = _DECIDING_WITHOUT_WORD if backup.status is not None else _DECIDING_WITHOUT_STATUS
        return "usable" if backup.status_type is None and deciding.isdisjoint(backup.unknown) else "unclear"

    def match(self, status: str) -> Literal["failed", "unfinished", "good", "unclear"] | None:
        """Return which list a status matches, if any, or ``unclear``."""
        return _match(self, status)

    def unmatched(self, statuses: Iterable[str]) -> tuple[str, ...]:
        """Return the statuses that match no word, or say more than a good word."""
        texts = (each for each in statuses if each not in _NOT_TEXT and not type_in_text(each))
        return tuple(
            each
            for each in texts
            if (match := self.match(each)) is None or (match == "good" and says_more(self.good, each))
        )


_CONTRADICTING = frozenset({"built", "error"})
"""Fields that make a backup unclear when they are not understood, even where its status is good."""
# The fields that do so where the status matches no word, and where there is no status.
_DECIDING_WITHOUT_WORD = frozenset({"locked"})
_DECIDING_WITHOUT_STATUS = frozenset({"locked", "status", "backup_size"})
COUNTED_BY_FIELD = _CONTRADICTING | {"locked", "backup_size"}
"""Fields that are counted under their own names, and not as ``status``, where they make a backup unclear."""
_NOT_TEXT = frozenset({"", OTHER_STATUSES, "object", "array"})


@lru_cache(maxsize=1024)
def _match(words: BackupStatuses, status: str) -> Literal["failed", "unfinished", "good", "unclear"] | None:
    """Return which list a status matches; exact matches go first.

    Without an exact match, the status is ``unclear`` if it is doubtful and matches a good word or none, if it negates a
    good word (``uncompleted``) or a bad one (``errors: 0``), or if it matches both an unfinished and a good word.
    """
    lists: tuple[tuple[Literal["failed", "unfinished", "good"], frozenset[str]], ...] = (
        ("failed", words.failed),
        ("unfinished", words.unfinished),
        ("good", words.good),
    )
    bad = words.failed | words.unfinished | DISK_ERROR_WORDS
    for exactly in (True, False):
        for name, known in lists:
            if matches_any(known, status, exactly=exactly):
                doubts = is_doubtful(bad, status) if name == "good" else is_opposed(known, status)
                doubts = doubts or (name == "unfinished" and matches_any(words.good, status))
                return "unclear" if doubts and not exactly else name
    return "unclear" if is_doubtful(bad, status) or is_negated(words.good, status) else None


def count_statuses(backups: Iterable[Backup]) -> Counter[str]:
    """Count backups by the API's status, ``""`` without one."""
    return Counter(
        backup.status_type if backup.status_type in {"object", "array"} else (backup.status or "") for backup in backups
    )


def most_common_statuses(counts: Mapping[str, int]) -> dict[str, int]:
    """Keep the :data:`MAX_STATUSES` most common statuses; add up the rest."""
    rest = Counter(counts)
    others = rest.pop(OTHER_STATUSES, 0)
    kept = dict(sorted(rest.items(), key=lambda item: (-item[1], item[0]))[:MAX_STATUSES])
    others += rest.total() - sum(kept.values())
    return {**kept, OTHER_STATUSES: others} if others else kept
