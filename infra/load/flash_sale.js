// The doors open: everyone wants the few seats of one event at the same moment, and those who
// were too late try again. Each seat is sold once, whoever is quickest; all others hear "sold out".

import { check, sleep } from 'k6';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';

import {
  DURATION, buyer, checkTokens, counted, events, get, handleSummary, options as withLimits, payOrder, placeOrder,
} from './lib.js';

export { checkTokens as setup, handleSummary };

// Fresh events with one ticket type each, made by `prepare` for this run: what counts, and a sale before it to warm up.
const [journey, warm_up] = events;
const sales = { journey, warm_up };
const { seats } = journey;
const seatsOrdered = new Counter('seats_ordered');
// How far the last payment may be behind in the count that everyone sees.
const COUNT_SECONDS_AT_MOST = 10;

export const options = withLimits({
  scenario: {
    executor: 'constant-vus',
    vus: Number(__ENV.FLASH_SALE_BUYERS || 300),
    duration: DURATION,
    // Whoever holds a seat when time is up still pays.
    gracefulStop: '15s',
  },
  calls: ['place_order', 'pay_order'],
  // One more is a seat sold twice, one less is a buyer sent away from a free seat.
  thresholds: { [counted('seats_ordered')]: [`count<=${seats}`, `count>=${seats}`] },
});

export default function () {
  const token = buyer(exec.vu.idInTest);
  const { id, ticket_types: [ticketType] } = sales[exec.scenario.name];
  const order = placeOrder(token, id, ticketType, [201, 409]);
  if (order.status === 201) {
    seatsOrdered.add(1);
    payOrder(token, order.json());
  } else if (order.status === 409) {
    check(order, { 'a 409 says sold-out': (refusal) => refusal.json('code') === 'sold-out' });
  }
  // Impatience: all press the button again after a second or so, not in step.
  sleep(0.5 + Math.random());
}

export function teardown() {
  let left;
  for (let tries = 0; tries < COUNT_SECONDS_AT_MOST; tries++) {
    [left] = get('read_availability', `/v1/events/${journey.id}/availability`).json('ticket_types');
    if (left.sold === seats) {
      break;
    }
    sleep(1);
  }
  check(left, { 'every seat is counted as sold': ({ sold, held, available }) => sold === seats && held === 0 && available === 0 });
}
