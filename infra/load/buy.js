// People who buy: one ticket held, then paid. The events have enough for all of them.

import exec from 'k6/execution';

import {
  DURATION, buyer, checkTokens, events, handleSummary, options as withLimits, payOrder, pick, placeOrder,
} from './lib.js';

export { checkTokens as setup, handleSummary };

export const options = withLimits({
  scenario: {
    executor: 'constant-arrival-rate',
    rate: Number(__ENV.BUY_PER_SECOND || 50),
    timeUnit: '1s',
    duration: DURATION,
    preAllocatedVUs: 50,
    maxVUs: 300,
  },
  calls: ['place_order', 'pay_order'],
});

export default function () {
  const token = buyer(exec.scenario.iterationInTest);
  const event = pick(events);
  const order = placeOrder(token, event.id, pick(event.ticket_types));
  if (order.status === 201) {
    payOrder(token, order.json());
  }
}
