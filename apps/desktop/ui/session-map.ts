// Map by id in the session storage, so that it survives a reload of the page, and nothing else.

const MAX_ENTRIES = 200;

export class SessionMap<T> {
  #key: string;
  #all: Map<string, T>;

  constructor(key: string) {
    this.#key = key;
    this.#all = new Map(JSON.parse(sessionStorage.getItem(key) ?? "[]") as [string, T][]);
  }

  get(id: string): T | undefined {
    return this.#all.get(id);
  }

  /** All of them, that which was set first first. */
  entries(): [string, T][] {
    return [...this.#all];
  }

  set(id: string, value: T): void {
    this.#all.set(id, value);
    this.#all = new Map([...this.#all].slice(-MAX_ENTRIES));
    this.#write();
  }

  delete(id: string): void {
    if (this.#all.delete(id)) this.#write();
  }

  #write(): void {
    sessionStorage.setItem(this.#key, JSON.stringify([...this.#all]));
  }
}
