// People who look around: the list, one event, what is left of it. Nobody signs in for that.

import { DURATION, checkTokens, events, get, handleSummary, options as withLimits, pick } from './lib.js';

export { checkTokens as setup, handleSummary };

export const options = withLimits({
  scenario: {
    executor: 'constant-arrival-rate',
    rate: Number(__ENV.BROWSE_PER_SECOND || 200),
    timeUnit: '1s',
    duration: DURATION,
    preAllocatedVUs: 100,
    maxVUs: 400,
  },
  calls: ['list_events', 'read_event', 'read_availability'],
});

export default function () {
  const { id } = pick(events);
  get('list_events', '/v1/events?limit=20');
  get('read_event', `/v1/events/${id}`);
  get('read_availability', `/v1/events/${id}/availability`);
}
