import type { Window } from '../config/document.ts';

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
type Day = (typeof DAYS)[number];

const formats = new Map<string, Intl.DateTimeFormat>();

/** Whether `now` lies in the window, by the clock on the wall of its time zone (daylight saving included). */
export function inWindow(window: Window, now: number): boolean {
  const { day, minutes } = wallClock(window.timeZone, now);
  const [from, to] = [toMinutes(window.from), toMinutes(window.to)];
  const open = (on: Day): boolean => window.days.includes(on);
  if (from <= to) return open(day) && minutes >= from && minutes < to;
  // Spans midnight: what is after it belongs to the day on which the window began.
  const yesterday = DAYS[(DAYS.indexOf(day) + 6) % 7]!;
  return (open(day) && minutes >= from) || (open(yesterday) && minutes < to);
}

function toMinutes(time: string): number {
  const [hours, minutes] = time.split(':').map(Number);
  return (hours ?? 0) * 60 + (minutes ?? 0);
}

function wallClock(timeZone: string, now: number): { day: Day; minutes: number } {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(timeZone, format);
  }
  const parts = new Map(format.formatToParts(now).map(({ type, value }) => [type, value]));
  return { day: parts.get('weekday') as Day, minutes: Number(parts.get('hour')) * 60 + Number(parts.get('minute')) };
}
