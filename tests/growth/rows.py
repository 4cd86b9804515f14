"""The rows of a grown database as SQL for both databases: years of events, and what came of them.

Event `n` is about record `n % records`, but every 200th is about one record, so that one has very
many. The first RARE events are of a type, and of a unit, that nothing later has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.growth.installation import plugin_name

RARE = 60
RARE_TYPE, RARE_UNIT, RARE_PLUGIN = "market.price_changed", "closed_unit", "retired_plugin"
DAY_US = 24 * 3600 * 1_000_000
YEARS_US = 3 * 365 * DAY_US
ACTOR, QUARANTINED = plugin_name(0), plugin_name(3)
HOT = "H-0"
"""The record with very many events."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many rows there are; deliveries and decisions are one for each event, the backlog included."""

    events: int
    timers: int
    backlog: int
    units: int

    @property
    def records(self) -> int:
        """Records beside the one with very many events."""
        return max(self.events // 10, 20)


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Writes the statements of one database; `now` is in microseconds."""

    amount: Amount
    now: int
    is_sqlite: bool

    def statements(self) -> Iterator[str]:
        """Return an INSERT for each table."""
        yield from (self._events(), self._keys(), self._deliveries(), self._decisions(), self._records())
        yield from (self._updates(), self._timers("pending"), self._timers("fired"), self._outbox())
        yield self._quarantines()

    def _series(self, last: int) -> str:
        if self.is_sqlite:
            return (
                "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < "
                f"{last}) SELECT n FROM s) AS s"
            )
        return f"(SELECT n FROM generate_series(1::bigint, {last}) AS n) AS s"

    def _id(self, prefix: str, salt: str, number: str = "n") -> str:
        """Name a row by what sorts as a hash does: an odd factor moves all 32-bit numbers about."""
        mixed = f"({number} * 2654435761) % 4294967296"
        digits = f"printf('%08x', {mixed})" if self.is_sqlite else f"lpad(to_hex({mixed}), 8, '0')"
        return f"'{prefix}' || {digits} || '{salt * 24}'"

    @property
    def _at(self) -> str:
        return f"({self.now - YEARS_US} + n * {YEARS_US // self.amount.events})"

    @property
    def _base(self) -> str:
        """Every event's number, time, record, unit and kind."""
        a = self.amount
        return f"""(
            SELECT n, r, 'H-' || r AS record, {self._at} AS at,
                CASE WHEN n <= {RARE} THEN '{RARE_UNIT}' ELSE 'u' || (r % {a.units}) END AS unit,
                CASE WHEN n <= {RARE} THEN 'market' WHEN r / 3 % 10 < 7 THEN 'complaint' WHEN r / 3 % 10 < 9 THEN 'lead'
                    ELSE 'order' END AS kind
            FROM (SELECT n, CASE WHEN n % 200 = 0 THEN 0 ELSE 1 + n % {a.records} END AS r
                  FROM {self._series(a.events)}) AS t) AS b"""

    def _events(self) -> str:
        return f"""
            INSERT INTO events (seq, id, source, type, kind, record_id, lane, status, status_reason, unit, unit_reason,
                occurred_at, accepted_at, version, completeness, origin, depth, outward, data, changed, body_hash,
                conflicts)
            SELECT n, {self._id("evt_", "e")}, 'crm',
                CASE kind WHEN 'complaint' THEN 'complaint.replied' WHEN 'lead' THEN 'lead.updated'
                     WHEN 'market' THEN '{RARE_TYPE}' ELSE 'order.placed' END,
                kind, record, r % 256,
                CASE WHEN n % 50 = 7 THEN 'skipped' WHEN n % 250 = 9 THEN 'rejected' ELSE 'dispatched' END,
                CASE WHEN n % 50 = 7 THEN 'superseded: a newer version was merged before' END, unit, 'department is D',
                at, at, 'v0000' || (1000000000000000 + n), 'delta', 'crm', 0, true,
                '{{"body":"客户反馈到货型材有纵向划痕，要求更换。","department":"D-' || (r % {self.amount.units})
                    || '","extra":{{"n":' || n || '}},"severity":"high","subject":"6063-T5 型材表面划伤"}}',
                '["subject"]', 'b' || n, 0
            FROM {self._base}"""

    def _keys(self) -> str:
        return f"""
            INSERT INTO event_keys (event_id, body_hash, accepted_at, removed_at)
            SELECT {self._id("evt_", "k")}, 'b' || n, {self._at}, {self.now}
            FROM {self._series(max(self.amount.events // 10, 1))}"""

    @property
    def _is_backlog(self) -> str:
        return f"(n % {self._step} = 0 AND kind = 'complaint')"

    @property
    def _step(self) -> int:
        # Seven of ten events are about complaints, whose deliveries can be left behind.
        return max(self.amount.events * 7 // (self.amount.backlog * 10), 1)

    def _deliveries(self) -> str:
        place = f"n / {self._step}"
        status = (
            f"CASE WHEN {place} % 100 = 0 THEN 'quarantined' WHEN {place} % 10 = 1 THEN 'waiting'"
            f" WHEN {place} % 10 IN (2, 3) THEN 'scheduled' ELSE 'retryable' END"
        )
        return f"""
            INSERT INTO deliveries (id, event_seq, event_id, plugin, unit, generation, outward, source, kind, record_id,
                lane, status, reason, attempts, due_at, waiting_for, wait_until, out_of_order, config_version,
                created_at, finished_at)
            SELECT n, n, {self._id("evt_", "e")},
                CASE WHEN n <= {RARE} THEN '{RARE_PLUGIN}' WHEN status = 'quarantined' THEN '{QUARANTINED}'
                     ELSE '{ACTOR}' END,
                unit, 0, true, 'crm', kind, record, r % 256, status,
                CASE WHEN status <> 'completed' THEN 'the ERP did not answer' END, 1,
                CASE WHEN status = 'completed' THEN at ELSE {self.now + 30 * DAY_US} + n END,
                CASE WHEN status = 'waiting' THEN n - {self.amount.records} END,
                CASE WHEN status = 'waiting' THEN {self.now + 60 * DAY_US} + n END, false, 1, at,
                CASE WHEN status IN ('completed', 'discarded') THEN at END
            FROM (SELECT b.*, CASE WHEN {self._is_backlog} THEN {status} WHEN n % 200 = 11 THEN 'discarded'
                  ELSE 'completed' END AS status FROM {self._base}) AS d"""

    def _decisions(self) -> str:
        return f"""
            INSERT INTO decisions (id, event_seq, event_id, plugin, plugin_version, unit, generation, source, kind,
                record_id, decision, outcome, summary, rule, reasons, inputs, near_misses, config_version, decided_at)
            SELECT n, n, {self._id("evt_", "e")}, CASE WHEN n <= {RARE} THEN '{RARE_PLUGIN}' ELSE '{ACTOR}' END, '1.0',
                unit, 0, 'crm', kind, record, CASE WHEN kind = 'lead' THEN 'lead_grade' ELSE 'growth' END, 'kept',
                'complaint.replied', 'growth.keep', '[]', '{{"type":"complaint.replied"}}', '[]', 1, at
            FROM {self._base}"""

    def _records(self) -> str:
        return f"""
            INSERT INTO records (source, kind, record_id, unit, unit_reason, snapshot, versions, own, last_seq,
                created_at, updated_at)
            SELECT 'crm', kind, record, min(unit), 'department is D',
                '{{"department":"D-' || (r % {self.amount.units}) || '","severity":"high","subject":"6063-T5"}}',
                '{{"department":"v1"}}', '[]', max(n), min(at), max(at)
            FROM {self._base} WHERE n > {RARE} GROUP BY kind, record, r"""

    def _updates(self) -> str:
        return f"""
            INSERT INTO record_updates (source, kind, record_id, applied_after_seq, event_seq, plugin, fields, at)
            SELECT 'crm', kind, record, n, n, '{ACTOR}', '{{"status":"graded"}}', at FROM {self._base}
            WHERE n % 10 = 3"""

    def _timers(self, status: str) -> str:
        first = self.now + DAY_US if status == "pending" else self.now - YEARS_US
        return f"""
            INSERT INTO timers (id, plugin, unit, source, kind, record_id, timer, round, due_at, status, data,
                started_by, outward, depth, fired_at)
            SELECT {self._id("tmr_", status[0])}, '{ACTOR}', 'u' || (n % {self.amount.units}), 'crm', 'complaint',
                'H-' || (1 + n % {self.amount.records}), 'first_reply', 1, {first} + n * 1000, '{status}',
                '{{"step":1}}', {self._id("evt_", "e")}, true, 0,
                CASE WHEN '{status}' = 'fired' THEN {first} + n * 1000 END FROM {self._series(self.amount.timers)}"""

    def _outbox(self) -> str:
        return f"""
            INSERT INTO outbox (seq, id, effect, target, type, body, event_seq, event_id, plugin, unit, source, kind,
                record_id, status, attempts, due_at, created_at, sent_at)
            SELECT n, {self._id("msg_", "o")}, 'send_webhook', 'mes', 'complaint.noted',
                '{{"type":"complaint.noted","data":{{"id":"H-1"}}}}', n, {self._id("evt_", "e")}, '{ACTOR}', unit,
                'crm', kind, record,
                CASE WHEN n % 100 = 1 THEN 'retryable' WHEN n % 250 = 6 THEN 'discarded' ELSE 'sent' END, 1,
                CASE WHEN n % 100 = 1 THEN {self.now + 30 * DAY_US} ELSE at END, at,
                CASE WHEN n % 100 <> 1 THEN at END
            FROM {self._base} WHERE n % 5 = 1"""

    def _quarantines(self) -> str:
        return f"""
            INSERT INTO quarantines (unit, plugin, crashes, active, reason, changed_at, changed_by)
            SELECT 'u' || (n - 1), '{QUARANTINED}', 3, true, 'filled', {self.now}, 'tests'
            FROM {self._series(self.amount.units)}"""
