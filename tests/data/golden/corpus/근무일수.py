"""근무일을 세는 함수들."""

from datetime import date, timedelta

공휴일 = {date(2026, 3, 1), date(2026, 5, 5), date(2026, 6, 6), date(2026, 8, 15)}


def is_workday(day: date) -> bool:
    """주말도 공휴일도 아니면 참."""
    return day.weekday() < 5 and day not in 공휴일


def count_workdays(start: date, end: date) -> int:
    """시작일과 종료일을 포함해 평일이 며칠인지 센다."""
    days = (end - start).days + 1
    return sum(is_workday(start + timedelta(days=n)) for n in range(days))


def remaining_leave(joined: date, today: date, used: float) -> float:
    """남은 연차. 입사 첫해에는 한 달에 하루, 그 뒤로는 해마다 열닷새."""
    months = (today.year - joined.year) * 12 + today.month - joined.month
    earned = min(months, 11) if months < 12 else 15
    return earned - used
