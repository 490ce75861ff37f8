import { eventually } from './eventually.ts';
import { get, type Thing } from './kubectl.ts';

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

/** A condition of an object; undefined: it has none of this type. */
export function condition(object: Thing, type: string): Condition | undefined {
  return object.status?.conditions?.find((one: Condition) => one.type === type);
}

/** A condition of a policy or rule towards its first gateway. */
function ancestorCondition(object: Thing, type: string): Condition | undefined {
  return object.status?.ancestors?.[0]?.conditions?.find((one: Condition) => one.type === type);
}

/** What a condition must say: status and, where given, reason; about the present generation. */
export interface Expected {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason?: string;
}

/** Until an object says so of its present generation. */
export function becomes(expected: Expected, within = 60_000): Promise<Condition> {
  const { namespace, kind, name, type, status, reason } = expected;
  const attempt = async (): Promise<Condition> => {
    const object = await get(namespace, kind, name);
    const found = condition(object, type) ?? ancestorCondition(object, type);
    const fits = found?.status === status && (reason === undefined || found.reason === reason);
    if (found !== undefined && fits && found.observedGeneration === object.metadata.generation) return found;
    throw new Error(`generation ${object.metadata.generation}, ${JSON.stringify(object.status)}`);
  };
  return eventually(`${kind} ${namespace}/${name} is ${type}=${status} ${reason ?? ''}`, attempt, { within });
}
