"""Cases for the cron schedules, from an independent implementation: cases.py COUNT SEED > FILE.

Which local times match comes from croniter, which moments they are from zoneinfo, and the rule for changes of the clock
is written here once more (docs/operate/schedules.md). One line per case: [expression, zone, start, [seconds from start, ...]].

On stderr: how often croniter's own answer with a zone is the same, and why not. It differs from our rule by design: it
fires twice what exists twice, also at a time of day, and moves every time that does not exist behind the gap, also with
'*' for the hour. Any other difference is a failure.
"""
import json
import random
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from croniter import croniter

UTC = timezone.utc
ZONES = [
    "UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns",
    "America/Santiago", "America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Asia/Kathmandu", "Asia/Tehran",
    "Asia/Beirut", "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Chatham", "Pacific/Apia", "Asia/Gaza",
    "America/Vancouver", "America/Edmonton", "Africa/Casablanca",
]
FIRST, LAST = datetime(2018, 1, 1, tzinfo=UTC), datetime(2034, 1, 1, tzinfo=UTC)
TICKS = 6


def offset(zone, seconds):
    return int(datetime.fromtimestamp(seconds, zone).utcoffset().total_seconds())


def transitions(zone):
    """Moments at which the offset changes, by looking once a day and then closely."""
    found, day = [], int(FIRST.timestamp())
    while day < LAST.timestamp():
        low, high = day, day + 86_400
        if offset(zone, low) != offset(zone, high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == offset(zone, low) else (low, middle)
            found.append(high)
        day += 86_400
    return found


def number(rng, low, high):
    return rng.randint(low, high)


def field(rng, low, high, dense, names=()):
    kind = rng.random()
    if kind < dense:
        return "*"
    if kind < dense + 0.15:
        return f"*/{number(rng, 1, max(1, (high - low + 1) // 2))}"
    items = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        # Never a-a: croniter takes it for the whole circle, POSIX and we for a.
        a, b = sorted(rng.sample(range(low, high + 1), 2))
        shape = rng.random()
        if shape < 0.6:
            items.append(names[a - low] if names and rng.random() < 0.5 and a - low < len(names) else str(a))
        elif shape < 0.85:
            items.append(f"{a}-{b}")
        else:
            items.append(f"{a}-{b}/{number(rng, 1, max(1, b - a + 1))}")
    return ",".join(items)


def is_everything(text, low, high):
    """Whether a list of plain ranges and steps leaves nothing out."""
    found = set()
    for index, name in enumerate(WEEKDAYS):
        text = text.replace(name, str(index))
    for item in text.split(","):
        base, _, step = item.partition("/")
        first, _, last = (f"{low}-{high}" if base == "*" else base).partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return len(found) == high - low + 1


def day_field(rng, low, high, dense, names=()):
    """Never everything but '*' itself: to POSIX, ISC and us the other day field then adds days, to croniter it
    depends on whether there is a '*' in that one."""
    while True:
        text = field(rng, low, high, dense, names)
        if text == "*" or not is_everything(text, low, high):
            return text


MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()


def expression(rng):
    # Hours around the usual changes of the clock more often than others.
    hour = rng.choice(["0", "1", "2", "3", "2-3", "1,2", "0-4"]) if rng.random() < 0.4 else field(rng, 0, 23, 0.3)
    if rng.random() < 0.5:
        return f"{field(rng, 0, 59, 0.03)} {hour} * * *"
    return " ".join([
        field(rng, 0, 59, 0.03), hour, day_field(rng, 1, 31, 0.6), field(rng, 1, 12, 0.75, MONTHS),
        day_field(rng, 0, 6, 0.6, WEEKDAYS)])


def moments(text, zone, changes, start):
    """The first TICKS moments after start, by our rule."""
    minute, hour = text.split()[:2]
    every_hour, interval = hour.startswith("*"), hour.startswith("*") or minute.startswith("*")
    local = (datetime.fromtimestamp(start, zone) - timedelta(days=1)).replace(tzinfo=None)
    matches, found = croniter(text, local), set()
    while True:
        match = matches.get_next(datetime)
        first, second = (match.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        a, b = int(first.timestamp()), int(second.timestamp())
        if datetime.fromtimestamp(a, zone).replace(tzinfo=None) != match:
            if not every_hour:
                found.add(max(change for change in changes if change <= a))
        else:
            found.add(a)
            if interval:
                found.add(b)
        due = sorted(moment for moment in found if moment > start)
        if len(due) >= TICKS and min(a, b) > due[TICKS - 1] + 86_400:
            return due[:TICKS]


def croniters(text, zone, start):
    """The same, as croniter answers for a zone."""
    times = croniter(text, datetime.fromtimestamp(start, zone))
    return [int(times.get_next(datetime).timestamp()) for _ in range(TICKS)]


def main(count, seed):
    rng, written, same, differs = random.Random(seed), 0, 0, {"exists twice": 0, "does not exist": 0, "other": 0}
    zones = {name: ZoneInfo(name) for name in ZONES}
    changes = {name: transitions(zone) for name, zone in zones.items()}
    while written < count:
        text, name = expression(rng), rng.choice(ZONES)
        zone = zones[name]
        if changes[name] and rng.random() < 0.6:
            start = rng.choice(changes[name]) + rng.randint(-30 * 3600, 4 * 3600)
        else:
            start = rng.randint(int(FIRST.timestamp()), int(LAST.timestamp()) - 10 * 365 * 86_400)
        try:
            due = moments(text, zone, changes[name], start)
            theirs = croniters(text, zone, start)
        except Exception as error:  # a day that no month has
            if "CroniterBadDate" in type(error).__name__:
                continue
            raise
        print(json.dumps([text, name, start, [moment - start for moment in due]], separators=(",", ":")))
        written += 1
        if theirs == due:
            same += 1
            continue
        only = (set(theirs) ^ set(due)) & set(range(start, min(theirs[-1], due[-1]) + 1))
        near = {change for change in changes[name] for moment in only if abs(moment - change) <= 3 * 3600}
        if not near:
            differs["other"] += 1
            print(f"other: {text} | {name} | {start} | {due} | {theirs}", file=sys.stderr)
        elif any(offset(zone, change - 1) > offset(zone, change) for change in near):
            differs["exists twice"] += 1
        else:
            differs["does not exist"] += 1
    print(f"{written} cases, croniter the same in {same}; differs by rule: {differs}", file=sys.stderr)
    return 1 if differs["other"] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
