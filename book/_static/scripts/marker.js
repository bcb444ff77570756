"use strict";

// Marks formulas in the page, as gradelib.marker does in Python: the same language, points, mistakes and sentences.
//
//   const marker = GradeMarker.load(language, exercises);      // what gradelib.marker.page gives, parsed from JSON
//   marker.mark(id, text)                                      // the verdict on a formula, or on a choice such as "B2"
//   marker.markChoice(id, option, reason)                      // the verdict on two indices, in the order shown
//   marker.prepare(id)                                         // the work for the first verdict, done ahead
//   marker.preview(id, text)                                   // how the text is read, without a verdict
//   GradeMarker.element(readAs.mathml)                         // the formula as a <math> element
//
// Nothing is evaluated as code, and names are looked up in Maps. A tree has three kinds of node: {value, whole},
// {name} and {op, args}. A value is a number or {shape, data} with its entries row by row.

(() => {
  const CLOSING = new Map([["(", ")"], ["[", "]"], ["{", "}"]]);
  const CLOSED = new Set(CLOSING.values());
  const BINDS = new Map([["+", 1], ["-", 1], ["*", 2], ["/", 2], ["@", 2]]);
  const PRECEDENCE = new Map([...BINDS, ["neg", 3], ["**", 4]]);
  const ATOM = 5;
  const TOKEN = /(?<number>(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<sign>\*\*|\/\/|==|!=|<=|>=|<>|:=|->|\|\||[^\sA-Za-z0-9_])/g;
  const WORD = /[A-Za-z_]\w*/g;
  // What \alpha, \beta, \vec and \frac become outside raw strings.
  const BELL_TO_FORM_FEED = /[\x07\x08\x0b\x0c]/; // oxlint-disable-line no-control-regex
  // Stands for \b of Python, to which letters of other alphabets are letters too.
  const WORD_ENDS = "(?![\\p{L}\\p{N}_])";
  // White space as Python has it.
  const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  const OUTER_SPACE = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "g");
  const TRAILING = new RegExp(`[${SPACE};.,]+$`);

  const strip = (text) => text.replace(OUTER_SPACE, "");
  const commas = (count) => String(count).replace(/\B(?=(?:[0-9]{3})+$)/g, ",");
  const withoutCase = (name) => name.replace(/_/g, "").toLowerCase();
  const [LONG, SHORT] = [5, 3]; // letters of a word that says something anywhere in a name, and of one at its ends
  const printable = (sign) => sign === " " || !/[\p{C}\p{Z}]/u.test(sign);

  // The text with its fields filled in, a number in groups of three digits where it says {name:,}.
  function fill(text, fields) {
    const values = new Map(Object.entries(fields));
    return text.replace(/\{(\w+)(:,)?\}/g, (_, name, grouped) =>
      grouped ? commas(values.get(name)) : String(values.get(name)));
  }

  // --- the language's tables, and its sentences

  // Something is wrong with a formula. kind: unreadable, shape or undefined; suggestion: the text that was meant.
  class AnswerError extends Error {
    constructor(kind, code, message, suggestion = null) {
      super(message);
      Object.assign(this, { kind, code, suggestion });
    }
  }

  class Language {
    constructor(data) {
      const maps = ["functions", "definitions", "meant", "foreign", "keywords", "sentences", "instead", "hints", "phrases",
        "mutations", "spoken", "always"];
      for (const key of maps) this[key] = new Map(Object.entries(data[key]));
      for (const key of ["binary", "transparent", "identities", "modules"]) this[key] = new Set(data[key]);
      const characters = data.characters;
      for (const key of ["superscripts", "subscripts", "fractions"]) this[key] = new Map(Object.entries(characters[key]));
      this.like = new Map(Object.entries(characters.like).flatMap(([to, signs]) => [...signs].map((sign) => [sign, to])));
      for (const key of ["ignored", "transposed"]) this[key] = new Set(characters[key]);
      this.zeros = [...characters.zeros].map((zero) => zero.codePointAt(0));
      this.limits = data.limits;
      this.sameNames = data.same_names;
      this.alike = data.alike;
      const { signs, words, quotes } = data.blank;
      this.blank = new RegExp(`^(?:[${SPACE}${signs}]*|${words.join("|")})$`, "iu");
      this.quotes = new RegExp(`^[${quotes}]+|[${quotes}]+$`, "g");
      const lost = Object.entries(data.lost_backslashes).map(([sign, rest]) => `${sign}(?:${rest})`);
      this.lostBackslash = new RegExp(lost.join("|").replace(/\\b/g, WORD_ENDS), "u");
      this.bodies = new Map();
      this.meanings = this.readMeanings();
    }

    sentence(code, fields = {}) {
      return fill(this.sentences.get(code), fields);
    }

    phrase(code, fields = {}) {
      return fill(this.phrases.get(code), fields);
    }

    // A piece of a reader's text in quotes, short; what does not print is left out.
    shown(text, most = 40) {
      const signs = [...text];
      const start = signs.slice(0, most).map((sign) => (printable(sign) ? sign : " ")).join("");
      return this.phrase("quoted", { text: signs.length > most ? start + this.phrase("more") : start });
    }

    character(sign) {
      const number = sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      return printable(sign) ? this.phrase("character", { shown: this.shown(sign), number: `U+${number}` }) : `U+${number}`;
    }

    isBlank(text) {
      return this.blank.test(strip(text).replace(this.quotes, ""));
    }

    // Words for what functions do, without case and underscores, and the function or sign that does it.
    readMeanings() {
      const meanings = new Map([...this.functions.keys(), ...this.binary].map((name) => [withoutCase(name), name]));
      for (const [name, body] of this.definitions) {
        const done = body.replace(/\(a\)$/, "");
        if (!meanings.has(withoutCase(name))) meanings.set(withoutCase(name), this.functions.has(done) ? done : name);
      }
      for (const [name, meant] of this.meant) meanings.set(withoutCase(name), meant);
      return new Map([...meanings].filter(([word]) => word.length >= SHORT));
    }

    // The function that an unknown one is near to: in spelling where that is clear, else in meaning, else in spelling.
    nearFunction(name) {
      const bare = withoutCase(name);
      if (this.meanings.has(bare)) return this.meanings.get(bare);
      const known = [...this.functions.keys(), ...this.binary, ...this.definitions.keys()];
      const alike = nearest(name, known, this.alike.functions);
      if (alike && likeness(alike, name) >= this.alike.misspelt) return alike;
      const inside = [...this.meanings.keys()].filter((word) =>
        bare.includes(word) && (word.length >= LONG || bare.startsWith(word) || bare.endsWith(word)));
      return inside.length ? this.meanings.get(inside.reduce((a, b) => (b.length > a.length ? b : a))) : alike;
    }

    error(code, fields, suggestion) {
      return new AnswerError("unreadable", code, this.sentence(code, fields), suggestion);
    }

    shapeError(code, fields) {
      return new AnswerError("shape", code, this.sentence(code, fields));
    }

    undefinedError(code) {
      return new AnswerError("undefined", code, this.sentence(code));
    }

    // The tree of the formula that a definition such as ln = log(a) stands for.
    body(name) {
      if (!this.bodies.has(name)) this.bodies.set(name, new Parser(this, this.definitions.get(name), ["a", "b"]).formula());
      return this.bodies.get(name);
    }
  }

  // --- the nearest name, as Python's difflib finds it

  function matching(a, b) {
    if (!a || !b) return 0;
    let [size, inA, inB] = [0, 0, 0];
    let before = Array.from(b, () => 0);
    for (let i = 0; i < a.length; i++) {
      const here = Array.from(b, () => 0);
      for (let j = 0; j < b.length; j++) {
        if (a[i] !== b[j]) continue;
        here[j + 1] = before[j] + 1;
        if (here[j + 1] > size) [size, inA, inB] = [here[j + 1], i + 1, j + 1];
      }
      before = here;
    }
    if (!size) return 0;
    return size + matching(a.slice(0, inA - size), b.slice(0, inB - size)) + matching(a.slice(inA), b.slice(inB));
  }

  const likeness = (a, b) => (2 * matching(a, b)) / (a.length + b.length);

  function nearest(name, options, cutoff) {
    let best = null;
    for (const option of options) {
      const ratio = likeness(option, name);
      if (ratio >= cutoff && (!best || ratio > best.ratio || (ratio === best.ratio && option > best.option))) {
        best = { ratio, option };
      }
    }
    return best && best.option;
  }

  // --- characters

  function kindOf(language, sign) {
    if (language.transposed.has(sign)) return "transposed";
    return language.superscripts.has(sign) ? "super" : language.subscripts.has(sign) ? "sub" : "plain";
  }

  // One character in ASCII, or itself where nothing is like it.
  function plain(language, sign) {
    if (sign <= "~") return sign;
    if (language.ignored.has(sign)) return "";
    if (language.fractions.has(sign)) return `(${language.fractions.get(sign).join("/")})`;
    const folded = sign.normalize("NFKC");
    for (const candidate of [sign, folded]) if (language.like.has(candidate)) return language.like.get(candidate);
    if (folded.length === 1 && folded <= "~") return folded;
    const code = sign.codePointAt(0);
    const zero = language.zeros.find((first) => code >= first && code < first + 10);
    return zero === undefined ? sign : String(code - zero);
  }

  // A run of characters that are all raised, all lowered or all plain, in ASCII as far as it can be.
  function script(language, kind, run) {
    if (kind === "transposed") return ".T ".repeat(run.length);
    if (kind === "super") return `**(${run.map((sign) => language.superscripts.get(sign)).join("")})`;
    if (kind === "sub") return `_${run.map((sign) => language.subscripts.get(sign)).join("")}`;
    const parts = run.map((sign) => plain(language, sign));
    return parts.map((part, i) =>
      part.length > 1 && /^[A-Za-z]/.test(part) && /^[A-Za-z]/.test(parts[i + 1] || "") ? `${part} ` : part).join("");
  }

  // The text in the language's own characters: look-alikes replaced, comments and an outer pair of quotes gone.
  function asciiText(language, text) {
    const signs = [...text];
    const most = language.limits.characters;
    if (signs.length > most) throw language.error("long", { most, count: signs.length });
    if (BELL_TO_FORM_FEED.test(text)) throw language.error("latex");
    const runs = [];
    for (const sign of signs) {
      const kind = kindOf(language, sign);
      if (!runs.length || runs[runs.length - 1].kind !== kind) runs.push({ kind, run: [] });
      runs[runs.length - 1].run.push(sign);
    }
    let ascii = runs.map(({ kind, run }) => script(language, kind, run)).join("");
    ascii = strip(ascii.replace(/#[^\n]*|\\[ \t]*\n/g, " ")).replace(/(\w)_\{(\w+)\}/g, "$1_$2"); // I_{d}
    const quoted = /^(['"`])([^'"`]*)\1$/.exec(ascii);
    ascii = (quoted ? strip(quoted[2]) : ascii).replace(TRAILING, "");
    const strange = [...ascii].find((sign) => !((sign >= " " && sign <= "~") || "\n\t\r".includes(sign)));
    if (strange) throw language.error("strange", { character: language.character(strange) });
    return ascii;
  }

  // --- from text to a tree

  const op = (sign, ...args) => ({ op: sign, args });
  const isNumber = (node) => "value" in node;

  function* walk(node) {
    yield node;
    for (const child of node.args || []) yield* walk(child);
  }

  function namesIn(tree) {
    return new Set([...walk(tree)].filter((node) => node.name && node.name !== "pi").map((node) => node.name));
  }

  function parse(language, text, names) {
    const known = [...names].sort();
    const ascii = asciiText(language, text);
    try {
      const root = new Parser(language, ascii, known).formula();
      if ([...walk(root)].length > language.limits.nodes) throw language.error("large");
      return root;
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      if (language.lostBackslash.test(text)) throw language.error("latex");
      if (error.rename) error.suggestion = renamed(language, ascii, known, error.rename);
      if (!["prime", "bars", "decimal_comma"].includes(error.code)) throw error;
      const meant = new Parser(language, mended(ascii), known).suggested();
      if (!meant) throw error;
      const message = language.sentence("meant", { text: error.message, mended: meant.text });
      throw new AnswerError(error.kind, error.code, message, meant.text);
    }
  }

  // The text with the near name in place of the unknown one; null if that does not mend it.
  function renamed(language, text, known, { name, near }) {
    const meant = text.replace(WORD, (word) => (word === name ? near : word));
    return readable(() => new Parser(language, meant, known).formula()) && meant;
  }

  // What `read` reads, null if it is refused.
  function readable(read) {
    try {
      return read();
    } catch (error) {
      if (error instanceof AnswerError) return null;
      throw error;
    }
  }

  // The text with T(J) for J', norm(x) for ||x||, and points in decimal numbers.
  function mended(text) {
    return text
      .replace(/\b([A-Za-z_]\w*)'/g, "T($1)")
      .replace(/\|\|([^|]+)\|\|\s*(?:\^|\*\*)\s*(?:2|\(2\))/g, "norm2($1)")
      .replace(/\|\|([^|]+)\|\|/g, "norm($1)")
      .replace(/\blog\s*\(\s*\|([^|]+)\|\s*\)/g, "logdet($1)")
      .replace(/\blog\s*\|([^|]+)\|/g, "logdet($1)")
      .replace(/(^|[^\w.])([0-9]+),([0-9])/g, "$1$2.$3");
  }

  function knownName(language, name, known) {
    if (known.includes(name) || name === "pi") return { name };
    const bare = name.replace(/_/g, ""); // σ₁ is sigma_1 or sigma1
    for (const group of [...language.sameNames, known.filter((other) => other.replace(/_/g, "") === bare)]) {
      const same = group.filter((other) => known.includes(other));
      if (same.length === 1 && (group.includes(name) || name.includes("_"))) return { name: same[0] };
    }
    if (language.functions.has(name)) throw language.error("name_is_function", { name });
    if (name === "e") throw language.error("name_euler");
    let near = language.identities.has(name)
      ? language.phrase("identities")
      : productOfNames(name, known) || nearest(name, [...known, "pi"], language.alike.names);
    const numbered = /^([A-Za-z]\w*?)([0-9]+)$/.exec(name);
    if (numbered && known.includes(numbered[1])) {
      near = language.phrase("numbered", { name: numbered[1], number: numbered[2] });
    }
    if (near) throw nearError(language, "name_near", name, near);
    throw language.error("name_unknown", { name: language.shown(name), known: known.join(", ") });
  }

  function nearError(language, code, name, near) {
    const error = language.error(code, { name: language.shown(name), near });
    if (/^\w+$/.test(near)) error.rename = { name, near };
    return error;
  }

  // The known names of which a name is made, as a product: betaw was meant as beta*w, HJ as H@J.
  function productOfNames(name, known) {
    const byLength = [...known].sort((a, b) => b.length - a.length);
    for (const first of byLength) {
      if (!name.startsWith(first) || !first) continue;
      const rest = name.slice(first.length);
      const read = known.includes(rest) ? rest : rest ? productOfNames(rest, known) : null;
      if (read) return `${first}${/^[A-Z]/.test(first) && /^[A-Z]/.test(rest) ? "@" : "*"}${read}`;
    }
    return null;
  }

  function knownNumber(language, value, whole) {
    const most = language.limits.integer;
    if (!(Math.abs(value) <= most)) throw language.error("number_size", { most }); // NaN fails too
    return { value, whole };
  }

  function knownExponent(language, exponent) {
    for (const node of walk(exponent)) {
      if (isNumber(node) && node.value > language.limits.exponent) {
        throw language.error("exponent_size", { most: language.limits.exponent });
      }
      if (node.op === "**") throw language.error("exponent_power");
    }
    return exponent;
  }

  // A list of one entry is that entry, [x] as (x), except where it is a row or a column of a matrix.
  function withoutSingles(node, inList = false) {
    if (!node.op) return node;
    if (node.op === "[]" && node.args.length === 1 && !inList) {
      const [child] = node.args;
      if (!(child.op === "[]" && child.args.length > 1)) return withoutSingles(child);
    }
    return op(node.op, ...node.args.map((child) => withoutSingles(child, node.op === "[]")));
  }

  // The body of a definition with its arguments in the place of a and b.
  function filled(node, values) {
    if (node.name) return values["ab".indexOf(node.name)];
    return node.op ? op(node.op, ...node.args.map((child) => filled(child, values))) : node;
  }

  const isAxis = (node) => isNumber(node) || (node.op === "neg" && isNumber(node.args[0]));

  // Reads one text by precedence climbing; the grammar stands in gradelib/marker/parser.py. With `products` it notes
  // where an operator is missing, and goes on as if it stood there.
  class Parser {
    constructor(language, text, known, products = null) {
      Object.assign(this, { language, text, known, products, place: 0, depth: 0 });
      this.tokens = [...text.matchAll(TOKEN)].map((found) => {
        const { number, name } = found.groups;
        const kind = number !== undefined ? "number" : name !== undefined ? "name" : "sign";
        return { kind, text: found[0], start: found.index, end: found.index + found[0].length };
      });
      this.tokens.push({ kind: "end", text: "", start: text.length, end: text.length });
    }

    formula() {
      if (this.tokens.length === 1) throw this.error("nothing");
      this.refuseForeign();
      this.refuseUnmatched();
      this.skipLeftSide();
      const root = this.sum(1);
      if (this.accept(",")) throw this.comma("tuple"); // a single one at the end is gone already
      if (this.now.kind !== "end") throw this.twoOperators();
      return withoutSingles(root);
    }

    error(code, fields) {
      return this.language.error(code, fields);
    }

    // Raise for what belongs to another language than formulas: LaTeX, bars, primes, comparisons, keywords.
    refuseForeign() {
      this.tokens.forEach((token, index) => {
        const code = (token.kind === "sign" ? this.language.foreign : this.language.keywords).get(token.text);
        if (!code || this.known.includes(token.text)) return;
        const inSquare = token.text === ":" && this.tokens.slice(0, index).some((before) => before.text === "[");
        throw this.error(inSquare ? "entry" : code, { character: this.language.character(token.text[0]) });
      });
    }

    refuseUnmatched() {
      const opened = [];
      for (const { text } of this.tokens) {
        if (CLOSING.has(text)) opened.push(text);
        else if (CLOSED.has(text)) {
          if (!opened.length) throw this.error("more_closing");
          const last = opened.pop();
          if (CLOSING.get(last) !== text) {
            throw this.error("brackets", { opened: this.language.shown(last), closed: this.language.shown(text) });
          }
        }
      }
      if (opened.length) throw this.error("more_opening");
    }

    // Moving on

    get now() {
      return this.tokens[this.place];
    }

    get before() {
      return this.place ? this.language.shown(this.tokens[this.place - 1].text) : this.language.phrase("beginning");
    }

    twoOperators() {
      return this.error("two_operators", { left: this.before, right: this.language.shown(this.now.text) });
    }

    // The sign that comes next, if it is one of these; it is passed.
    accept(...signs) {
      if (this.now.kind !== "sign" || !signs.includes(this.now.text)) return null;
      this.place += 1;
      return this.tokens[this.place - 1].text;
    }

    // Pass `return`, `name =` and `f(x) =`; raise where the left side says more than a name.
    skipLeftSide() {
      if (this.now.text === "return") this.place += 1;
      const equals = [];
      let depth = 0;
      this.tokens.forEach(({ kind, text }, index) => {
        depth += CLOSING.has(text) - CLOSED.has(text);
        if (kind !== "sign" || (text !== "=" && text !== ":=")) return;
        if (depth) throw this.error("options");
        equals.push(index);
      });
      if (!equals.length) return;
      const left = this.tokens.slice(this.place, equals[0]);
      const named = left.length > 0 && left[0].kind === "name";
      const ofSomething = left.length > 1 && left[1].text === "(" && left[left.length - 1].text === ")"; // f(x) = …
      const isNew = !left.length || (left.length === 1 && named && !this.known.includes(left[0].text));
      if (equals.length > 1 || !(isNew || (ofSomething && named && !this.language.functions.has(left[0].text)))) {
        throw this.error("equation");
      }
      this.place = equals[0] + 1;
    }

    // Operators

    // Operators that bind at least as tightly as `least`: 1 for sums, 2 for products.
    sum(least) {
      let node = this.unary();
      for (;;) {
        const sign = this.now.kind === "sign" ? this.now.text : "";
        if (!BINDS.has(sign) && this.startsOperand()) {
          const missing = this.missingSign();
          if (least > 2) return node;
          node = op(missing, node, this.sum(3));
        } else if ((BINDS.get(sign) || 0) >= least) {
          this.place += 1;
          node = op(sign, node, this.sum(BINDS.get(sign) + 1));
        } else return node;
      }
    }

    unary() {
      const sign = this.accept("+", "-");
      if (!sign) return this.power();
      const signed = this.nested(() => this.unary());
      return sign === "-" ? op("neg", signed) : signed;
    }

    power() {
      let node = this.postfix(this.atom());
      while (this.accept("**", "^")) {
        if (!this.isTranspose()) {
          return op("**", node, knownExponent(this.language, withoutSingles(this.nested(() => this.unary()))));
        }
        node = this.postfix(op("T", node));
      }
      return node;
    }

    // Whether T stands as an exponent, as in J^T or J^{T}; it is passed.
    isTranspose() {
      const [first, second, third] = this.tokens.slice(this.place, this.place + 3).map((token) => token.text);
      const bracketed = CLOSING.has(first) && second === "T" && third === CLOSING.get(first);
      if (this.known.includes("T") || !(bracketed || (first === "T" && second !== "(" && second !== "["))) return false;
      this.place += bracketed ? 3 : 1;
      return true;
    }

    // Operands

    postfix(operand) {
      let node = operand;
      while (this.now.text === "." && this.tokens[this.place + 1].kind === "name") {
        const name = this.tokens[this.place + 1].text;
        this.place += 2;
        if (this.now.text === "(") node = this.call(name, [node, ...this.arguments()]);
        else if (["T", "mT", "H", "mH"].includes(name)) node = op("T", node);
        else throw this.error("attribute", { name: this.language.shown(`.${name}`) });
      }
      const index = /^\[\s*-?[0-9]+\s*[\],]/.test(this.text.slice(this.now.start));
      if (this.tokens[this.place - 1].kind === "name" && index) throw this.error("entry");
      if (this.now.text === "." && ["*", "/", "^", "**"].includes(this.tokens[this.place + 1].text)) this.place += 1;
      return node;
    }

    atom() {
      const token = this.now;
      if (token.kind === "number") {
        this.place += 1;
        return this.number(token);
      }
      if (token.kind === "name") {
        this.place += 1;
        return this.name(token);
      }
      const opened = this.accept("(", "[", "{");
      if (opened) return this.nested(() => this.bracket(opened));
      if (token.kind === "end") throw this.place ? this.error("incomplete", { left: this.before }) : this.error("nothing");
      if (token.text === "." && this.tokens[this.place + 1].text === ".") throw this.error("dots");
      if (token.text === ",") throw this.error("comma");
      throw this.twoOperators();
    }

    number(token) {
      if (["j", "1j"].includes(this.now.text) && this.now.start === token.end && !this.known.includes("j")) {
        throw this.error("real");
      }
      const text = token.text.replace(/_/g, "");
      return knownNumber(this.language, Number(text), /^[0-9]+$/.test(text));
    }

    // What is in brackets: one formula, or a vector or matrix in square ones.
    bracket(opened) {
      const items = this.items(opened);
      if (opened === "[") return op("[]", ...items);
      if (items.length > 1) throw this.comma("tuple");
      return items[0];
    }

    items(opened) {
      const closing = CLOSING.get(opened);
      if (this.accept(closing)) throw this.error("empty");
      const items = [this.sum(1)];
      while (this.accept(",")) if (this.now.text !== closing) items.push(this.sum(1));
      if (!this.accept(closing)) throw this.twoOperators();
      return items;
    }

    arguments() {
      const opened = this.accept(...CLOSING.keys());
      return this.accept(CLOSING.get(opened)) ? [] : this.nested(() => this.items(opened));
    }

    nested(read) {
      this.depth += 1;
      if (this.depth > this.language.limits.depth) throw this.error("deep");
      const found = read();
      this.depth -= 1;
      return found;
    }

    // Names and functions

    name(token) {
      const { language, known } = this;
      const name = token.text;
      if (language.modules.has(name) && !known.includes(name) && this.now.text === ".") {
        this.place += 1;
        const next = this.now;
        if (next.kind !== "name") throw this.error("module", { name: language.shown(name) });
        this.place += 1;
        return this.name(next);
      }
      const next = this.now.text;
      if (next === "(" || ((next === "[" || next === "{") && language.functions.has(name))) {
        const ours = (group) => group.includes(name) && group.some((other) => known.includes(other));
        return [known, ...language.sameNames].some(ours) ? this.productOf(name) : this.call(name, this.arguments());
      }
      if (name.endsWith("_") && next === "{") throw this.error("latex");
      return knownName(language, name, known);
    }

    // A name with a bracket behind it: the missing sign is found on the way out; without a suggestion, say why.
    productOf(name) {
      if (!this.products && !this.suggested()) throw this.error("name_not_function", { name });
      return knownName(this.language, name, this.known);
    }

    call(name, values) {
      const { language, known } = this;
      if (language.transparent.has(name) && values.length === 1) return values[0];
      if (language.identities.has(name) && values.length === 1) {
        if (values[0].name) return knownName(language, `I_${values[0].name}`, known);
        throw this.error("name_near", { name: language.shown(`${name}(…)`), near: language.phrase("identities") });
      }
      if (language.functions.has(name) || language.binary.has(name)) {
        this.expect(name, values, language.binary.has(name) ? 2 : 1);
        return op(name, ...values);
      }
      if (language.definitions.has(name)) {
        const body = language.body(name);
        this.expect(name, values, namesIn(body).has("b") ? 2 : 1);
        return filled(body, values);
      }
      const near = language.nearFunction(name);
      if (near) throw nearError(language, "function_near", name, near);
      throw this.error("function_unknown", { name: language.shown(name), known: [...language.functions.keys()].join(", ") });
    }

    expect(name, values, count) {
      if (name === "log" && values.length === 2) throw this.comma("log_base");
      if (count === 1 && values.length === 2 && isAxis(values[1])) throw this.comma("options");
      if (values.length === count) return;
      const wanted = this.language.phrase(count === 1 ? "one" : "two");
      throw this.comma("function_arguments", { name, wanted, count: values.length });
    }

    // The reason for a comma too many: if it stands between digits, it was meant as a point.
    comma(code, fields) {
      const found = /(?:^|[^\w.])([0-9]+),([0-9]+)(?![0-9.]*,)/.exec(this.text);
      if (!found) return this.error(code, fields);
      const [, left, right] = found;
      return this.error("decimal_comma", { text: this.language.shown(`${left},${right}`), instead: `${left}.${right}` });
    }

    // Missing operators

    startsOperand() {
      return this.now.kind === "number" || this.now.kind === "name" || CLOSING.has(this.now.text);
    }

    // The operator that is missing here; raise, with the corrected text, where none is to be assumed.
    missingSign() {
      const [left, right] = [this.tokens[this.place - 1], this.now];
      if (!this.products) throw this.productError(left, right);
      const turned = ["T", "mT"].includes(left.text) || (left.text === ")" && this.isMatrixLike(this.place - 1));
      const both = this.isMatrixLike(this.place - 1) && this.isMatrixLike(this.place);
      const sign = right.kind === "name" && (turned || both) ? "@" : "*";
      const last = this.products[this.products.length - 1];
      if (!last || last.start !== right.start) this.products.push({ start: right.start, sign });
      return sign;
    }

    productError(left, right) {
      const fields = { left: this.language.shown(left.text), right: this.language.shown(right.text) };
      const meant = this.suggested();
      if (!meant) return this.error("product", fields);
      const read = write(meant.tree, EXPLICIT);
      const code = read === write(meant.tree, PLAIN) ? "product_meant" : "product_read";
      return this.language.error(code, { ...fields, text: meant.text, read }, meant.text);
    }

    // Whether a matrix seems to begin or end with this token: a capital letter, T(…) or inv(…).
    isMatrixLike(index) {
      let place = index;
      const token = this.tokens[place];
      if (token.text === ")") {
        let depth = 1;
        place -= 1;
        while (place && depth) {
          depth += (this.tokens[place].text === ")") - (this.tokens[place].text === "(");
          place -= 1;
        }
        return ["T", "inv"].includes(this.tokens[place].text);
      }
      return token.kind === "name" && (/^[A-Z]/.test(token.text) || token.text === "inv");
    }

    // An unknown name that is made of known ones, as their product: HJ as H@J.
    splitName(name) {
      const { language, known } = this;
      const ours = ["functions", "definitions", "binary", "modules"].some((table) => language[table].has(name));
      return ours || known.includes(name) || name === "pi" || name === "mT" ? name : productOfNames(name, known) || name;
    }

    // The text with the operators that are missing, and its tree; null if that does not mend it.
    suggested() {
      const products = [];
      return readable(() => {
        let text = this.text.replace(WORD, (name) => this.splitName(name));
        new Parser(this.language, text, this.known, products).formula();
        for (const { start, sign } of products.sort((a, b) => b.start - a.start)) {
          text = text.slice(0, start).trimEnd() + sign + text.slice(start);
        }
        return { text, tree: new Parser(this.language, text, this.known).formula() };
      });
    }
  }

  // --- from a tree to text, to words and to MathML

  // A number as Python writes it: 2, 2.0, 0.5, 1e-07.
  function written({ value, whole }) {
    if (whole) return String(value);
    if (Number.isInteger(value)) return `${value}.0`;
    return value < 1e-4 ? value.toExponential().replace(/e-([0-9])$/, "e-0$1") : String(value);
  }

  // Text that reads back into the same tree; EXPLICIT has brackets where the order of operations can surprise.
  const PLAIN = {
    explicit: false,
    name: (name) => name,
    neg: "-",
    signs: new Map([["+", " + "], ["-", " - "]]),
    group: (text) => `(${text})`,
    list: (items) => `[${items.join(", ")}]`,
    call: (name, items) => `${name}(${items.join(", ")})`,
  };
  const EXPLICIT = { ...PLAIN, explicit: true };
  // The same in words, for a screen reader.
  const wordsOf = (spoken) => {
    const say = (code, fields) => fill(spoken.get(code), fields);
    return {
      explicit: true,
      aloud: true,
      name: (name) => name.replace(/_/g, " "),
      neg: spoken.get("neg"),
      signs: spoken,
      group: (text) => say("bracket", { text }),
      list: (items) => say("list", { items: items.join(", ") }),
      call: (name, items) => say("call", { name: spoken.get(name) || name, items: items.join(spoken.get("and")) }),
    };
  };

  function write(node, style, least = 0) {
    if (isNumber(node)) return written(node);
    if (node.name) return style.name(node.name);
    const bind = PRECEDENCE.get(node.op) || ATOM;
    const text = writeOp(node, style, bind);
    return bind < least ? style.group(text) : text;
  }

  function writeOp(node, style, bind) {
    const { explicit } = style;
    const [left, right] = node.args;
    const sign = style.signs.get(node.op) || node.op;
    if (node.op === "neg") return style.neg + write(left, style, explicit && left.op ? ATOM : bind);
    if (node.op === "**") return write(left, style, ATOM) + sign + write(right, style, PRECEDENCE.get("neg"));
    if (PRECEDENCE.has(node.op)) {
      const divided = explicit && bind === 2 && left.op === "/";
      return write(left, style, divided ? ATOM : bind) + sign + write(right, style, bind + 1);
    }
    // In words a bracket ends where its last word does, so that what a function works on is one.
    const spoken = style.aloud && node.op !== "[]" && node.args.some((child) => PRECEDENCE.has(child.op));
    const items = node.args.map((child) => write(child, style, spoken ? ATOM : 0));
    return node.op === "[]" ? style.list(items) : style.call(node.op, items);
  }

  const GREEK = new Map(("alpha α beta β gamma γ delta δ epsilon ε zeta ζ eta η theta θ iota ι kappa κ lambda λ lam λ mu μ " +
    "nu ν xi ξ rho ρ sigma σ tau τ phi φ chi χ psi ψ omega ω pi π Sigma Σ Lambda Λ Gamma Γ Delta Δ Omega Ω")
    .split(" ").reduce((pairs, word, i, all) => (i % 2 ? pairs : [...pairs, [word, all[i + 1]]]), []));

  const mo = (text) => ["mo", text];
  const fenced = (inner) => ["mrow", mo("("), inner, mo(")")];

  function setName(name) {
    const [, base, , word, count] = /^([A-Za-z]+)(_(\w+)|([0-9]+))$/.exec(name) || [null, name];
    const index = word || count;
    const letter = ["mi", GREEK.get(base) || base];
    return index ? ["msub", letter, [/^[0-9]+$/.test(index) ? "mn" : "mi", index]] : letter;
  }

  // The tree as MathML, in nested lists of a tag and its children; nothing is simplified.
  function mathml(node, least = 0) {
    if (isNumber(node)) return ["mn", written(node)];
    if (node.name) return setName(node.name);
    const [left, right] = node.args;
    const bind = node.op === "/" ? ATOM : PRECEDENCE.get(node.op) || ATOM;
    const set = setOp(node, left, right, bind);
    return bind < least ? fenced(set) : set;
  }

  // The base of a power or of a transpose: in brackets unless it is one letter, one number or a function.
  function setBase(node) {
    return node.op && node.op !== "[]" && (PRECEDENCE.has(node.op) || RAISED.has(node.op))
      ? fenced(mathml(node)) : mathml(node, ATOM);
  }

  const RAISED = new Map([["T", mo("⊤")], ["inv", ["mrow", mo("−"), ["mn", "1"]]]]);
  const BARRED = new Map([["norm", [null, null]], ["norm2", [null, "2"]], ["frob2", ["F", "2"]]]);

  function setOp(node, left, right, bind) {
    if (node.op === "neg") return ["mrow", mo("−"), mathml(left, bind)];
    if (node.op === "/") return ["mfrac", mathml(left), mathml(right)];
    if (node.op === "**") return ["msup", setBase(left), mathml(right)];
    if (PRECEDENCE.has(node.op)) {
      const sign = new Map([["+", "+"], ["-", "−"], ["*", "·"], ["@", "\u2062"]]).get(node.op);
      return ["mrow", mathml(left, bind), mo(sign), mathml(right, bind + 1)];
    }
    if (RAISED.has(node.op)) return ["msup", setBase(left), RAISED.get(node.op)];
    if (node.op === "sqrt") return ["msqrt", mathml(left)];
    if (node.op === "abs") return ["mrow", mo("|"), mathml(left), mo("|")];
    if (BARRED.has(node.op)) {
      const [below, above] = BARRED.get(node.op);
      const bars = ["mrow", mo("‖"), mathml(left), mo("‖")];
      if (below) return ["msubsup", bars, ["mi", below], ["mn", above]];
      return above ? ["msup", bars, ["mn", above]] : bars;
    }
    const items = node.args.flatMap((child, i) => (i ? [mo(","), mathml(child)] : [mathml(child)]));
    if (node.op === "[]") return ["mrow", mo("["), ...items, mo("]")];
    return ["mrow", ["mi", node.op], mo("\u2061"), fenced(["mrow", ...items])];
  }

  function element(mathmlTree) {
    const build = (part) => {
      if (typeof part === "string") return document.createTextNode(part);
      const [tag, ...children] = part;
      const made = document.createElementNS("http://www.w3.org/1998/Math/MathML", tag);
      for (const child of children) made.append(build(child));
      return made;
    };
    return build(["math", mathmlTree]);
  }

  const readAs = (language, tree) => ({
    text: write(tree, EXPLICIT), words: write(tree, wordsOf(language.spoken)), mathml: mathml(tree),
  });

  // --- numbers, vectors and matrices

  const ndim = (x) => (typeof x === "number" ? 0 : x.shape.length);
  const shapeOf = (x) => (typeof x === "number" ? [] : x.shape);
  const entries = (x) => (typeof x === "number" ? [x] : x.data);
  const array = (shape, data) => ({ shape, data });
  const sameShape = (a, b) => String(shapeOf(a)) === String(shapeOf(b));
  const each = (x, change) => (typeof x === "number" ? change(x) : array(x.shape, x.data.map(change)));
  const total = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const largest = (numbers) => numbers.reduce((a, b) => Math.max(a, Math.abs(b)), 0); // NaN stays NaN

  function pairwise(a, b, combine) {
    if (typeof a === "number") return each(b, (y) => combine(a, y));
    if (typeof b === "number") return each(a, (x) => combine(x, b));
    return array(a.shape, a.data.map((x, i) => combine(x, b.data[i])));
  }

  function diagonalMatrix(data) {
    const size = data.length;
    const out = Array.from({ length: size * size }, () => 0);
    data.forEach((x, i) => { out[i * size + i] = x; });
    return array([size, size], out);
  }

  function transposed(x) {
    const [rows, columns] = x.shape;
    return array([columns, rows], x.data.map((_, i) => x.data[(i % rows) * columns + Math.floor(i / rows)]));
  }

  // The product of matrices and vectors of fitting sizes; a vector is a row on the left and a column on the right.
  function product(a, b) {
    const inner = b.shape[0];
    const rows = a.data.length / inner;
    const columns = b.data.length / inner;
    const out = [];
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        let entry = 0;
        for (let k = 0; k < inner; k++) entry += a.data[i * inner + k] * b.data[k * columns + j];
        out.push(entry);
      }
    }
    const shape = [...a.shape.slice(0, -1), ...b.shape.slice(1)];
    return shape.length ? array(shape, out) : out[0];
  }

  // Gauss's elimination with partial pivoting on rows [A | B]: the determinant of A, and B turned into inv(A)@B.
  function eliminate(matrix, right) {
    const size = matrix.shape[0];
    const rows = [];
    for (let i = 0; i < size; i++) rows.push([...matrix.data.slice(i * size, (i + 1) * size), ...right(i)]);
    let determinant = 1;
    for (let k = 0; k < size; k++) {
      let pivot = k;
      for (let i = k + 1; i < size; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[pivot][k])) pivot = i;
      if (rows[pivot][k] === 0) return { determinant: 0, rows: null };
      if (pivot !== k) {
        [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
        determinant = -determinant;
      }
      determinant *= rows[k][k];
      for (let i = k + 1; i < size; i++) {
        const factor = rows[i][k] / rows[k][k];
        for (let j = k; j < rows[i].length; j++) rows[i][j] -= factor * rows[k][j];
      }
    }
    return { determinant, rows };
  }

  const determinantOf = (matrix) => eliminate(matrix, () => []).determinant;

  // The inverse of a square matrix, null if it is singular.
  function inverseOf(matrix) {
    const size = matrix.shape[0];
    const { rows } = eliminate(matrix, (i) => Array.from({ length: size }, (_, j) => Number(i === j)));
    if (!rows) return null;
    const out = [];
    for (let column = 0; column < size; column++) {
      for (let i = size - 1; i >= 0; i--) {
        let entry = rows[i][size + column];
        for (let k = i + 1; k < size; k++) entry -= rows[i][k] * out[k * size + column];
        out[i * size + column] = entry / rows[i][i];
      }
    }
    return array([size, size], out);
  }

  const squares = (x) => entries(x).map((entry) => entry * entry);
  const eye = (size) => diagonalMatrix(Array.from({ length: size }, () => 1));
  const plus = (a, b) => pairwise(a, b, (x, y) => x + y);
  const minus = (a, b) => pairwise(a, b, (x, y) => x - y);

  // The operators and functions of the language with its rules about shapes, as gradelib/marker/arithmetic.py has them.
  class Arithmetic {
    constructor(language) {
      this.language = language;
      const entrywise = (change) => (x) => each(x, change);
      this.table = new Map([
        ["T", (x) => (ndim(x) === 1 ? array([1, x.shape[0]], x.data) : x.shape[0] === 1 ? array([x.shape[1]], x.data) : transposed(x))],
        ["inv", (x) => this.inv(x)],
        ["tr", (x) => total(this.diagonal(x))],
        ["det", determinantOf],
        ["logdet", (x) => this.log(determinantOf(x))],
        ["diag", (x) => (ndim(x) === 2 ? this.vector(this.diagonal(x)) : diagonalMatrix(x.data))],
        ["norm2", (x) => total(squares(x))],
        ["frob2", (x) => total(squares(x))],
        ["colnorm2", (x) => this.vector(this.rows(transposed(x)).map((row) => total(squares(this.vector(row)))))],
        ["rownorm2", (x) => this.vector(this.rows(x).map((row) => total(squares(this.vector(row)))))],
        ["sum", (x) => total(x.data)],
        ["prod", (x) => x.data.reduce((a, b) => a * b, 1)],
        ["mean", (x) => total(x.data) / x.data.length],
        ["norm", (x) => Math.sqrt(total(squares(x)))],
        ["abs", entrywise(Math.abs)],
        ["square", entrywise((x) => x * x)],
        ["exp", entrywise(Math.exp)],
        ["log", (x) => this.log(x)],
        ["sqrt", (x) => {
          if (!entries(x).every((entry) => entry >= 0)) throw language.undefinedError("undefined_root");
          return each(x, Math.sqrt);
        }],
        ["cosh", entrywise((x) => (Math.exp(x) + Math.exp(-x)) / 2)],
        ["sinh", entrywise((x) => (Math.exp(x) - Math.exp(-x)) / 2)],
        ["tanh", entrywise((x) => 1 - 2 / (Math.exp(2 * x) + 1))],
        ["sigmoid", entrywise((x) => 1 / (1 + Math.exp(-x)))],
        ["softplus", entrywise((x) => Math.log(1 + Math.exp(x)))],
        ["log1p", (x) => this.log(each(x, (entry) => 1 + entry))],
        ["expm1", entrywise((x) => Math.exp(x) - 1)],
        ["neg", entrywise((x) => -x)],
        ["+", (a, b) => { this.fit(a, b, "add"); return plus(a, b); }],
        ["-", (a, b) => { this.fit(a, b, "subtract"); return minus(a, b); }],
        ["*", (a, b) => this.multiply(a, b)],
        ["/", (a, b) => this.divide(a, b)],
        ["@", (a, b) => this.matmul(a, b)],
        ["**", (a, b) => this.power(a, b)],
        ["dot", (a, b) => (ndim(a) === 1 && ndim(b) === 1 && sameShape(a, b) ? product(a, b) : this.matmul(a, b))],
      ]);
    }

    apply(sign, args) {
      const { functions } = this.language;
      const result = functions.has(sign) ? this.call(sign, args[0])
        : sign === "[]" ? this.stack(args) : this.table.get(sign)(...args);
      if (!entries(result).every(Number.isFinite)) throw this.language.undefinedError("undefined");
      return result;
    }

    call(name, x) {
      const wanted = this.language.functions.get(name);
      const square = ndim(x) === 2 && x.shape[0] === x.shape[1];
      if (!wanted.includes(["number", "vector", "matrix"][ndim(x)]) || (wanted.includes("square") && !square)) {
        const instead = this.language.instead.get(`${name} ${ndim(x)}`);
        const fields = { name, wanted, value: this.describe(x), instead: instead ? this.language.phrase("instead", { instead }) : "" };
        throw this.language.shapeError("shape_function", fields);
      }
      return this.table.get(name)(x);
    }

    vector(data) {
      return array([data.length], data);
    }

    // What a value is, in words: a number, a vector of length 3, a 5 × 3 matrix.
    describe(x) {
      const [rows, columns] = shapeOf(x);
      const code = ["number", "vector", "matrix"][ndim(x)];
      return this.language.phrase(code, { length: rows, rows, columns });
    }

    mismatch(code, a, b, verb) {
      return this.language.shapeError(code, { verb, left: this.describe(a), right: this.describe(b) });
    }

    rows(x) {
      const [count, size] = x.shape;
      return Array.from({ length: count }, (_, i) => x.data.slice(i * size, (i + 1) * size));
    }

    diagonal(x) {
      return Array.from({ length: Math.min(...x.shape) }, (_, i) => x.data[i * (x.shape[1] + 1)]);
    }

    fit(a, b, verb) {
      const kinds = [ndim(a), ndim(b)].sort().join("");
      if (kinds === "02") throw this.language.shapeError("shape_identity", { verb: this.language.phrase(verb) });
      if (!sameShape(a, b) && kinds !== "01") {
        throw this.mismatch("shape_add", a, b, this.language.phrase(verb));
      }
    }

    multiply(a, b) {
      if (ndim(a) && ndim(b) && !sameShape(a, b)) {
        throw this.mismatch("shape_multiply", a, b);
      }
      return pairwise(a, b, (x, y) => x * y);
    }

    divide(a, b) {
      if (ndim(b) === 2) throw this.language.shapeError("shape_divide_matrix");
      if (ndim(b) === 1 && ndim(a) && !sameShape(a, b)) {
        throw this.mismatch("shape_divide", a, b);
      }
      if (entries(b).includes(0)) throw this.language.undefinedError("undefined_zero");
      return pairwise(a, b, (x, y) => x / y);
    }

    matmul(a, b) {
      if (!(ndim(a) && ndim(b))) {
        throw this.mismatch("shape_matmul_number", a, b);
      }
      if (ndim(a) === 1 && ndim(b) === 2 && b.shape[0] === 1) return product(array([a.shape[0], 1], a.data), b);
      if (a.shape[a.shape.length - 1] !== b.shape[0]) {
        throw this.mismatch("shape_matmul", a, b);
      }
      const found = product(a, b);
      return ndim(a) === 2 && a.shape[0] === 1 && ndim(b) === 1 ? found.data[0] : found; // a row times a column
    }

    power(a, b) {
      if (ndim(a) === 2 && b === -1) return this.call("inv", a);
      if (ndim(a) === 2) throw this.language.shapeError("shape_power");
      if (ndim(b)) throw this.language.shapeError("shape_exponent", { value: this.describe(b) });
      return each(a, (x) => x ** b);
    }

    log(x) {
      if (!entries(x).every((entry) => entry > 0)) throw this.language.undefinedError("undefined_log");
      return each(x, Math.log);
    }

    inv(x) {
      const inverse = inverseOf(x);
      if (!inverse) throw this.language.undefinedError("undefined_singular");
      return inverse;
    }

    // A list of numbers is a vector, a list of vectors of one length the matrix with these rows.
    stack(rows) {
      if (ndim(rows[0]) > 1 || !rows.every((row) => sameShape(row, rows[0]))) throw this.language.shapeError("shape_rows");
      return array([rows.length, ...shapeOf(rows[0])], rows.flatMap(entries));
    }

    // The value of a tree at a point, whose values are a Map.
    evaluate(node, values) {
      if (isNumber(node)) return node.value;
      if (node.name) return node.name === "pi" ? Math.PI : values.get(node.name);
      const args = node.args.map((child) => this.evaluate(child, values));
      try {
        return this.apply(node.op, args);
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error;
        const part = this.language.shown(write(node, PLAIN), 60);
        throw new AnswerError(error.kind, error.code, this.language.sentence("inside", { part, text: error.message }));
      }
    }

    // The value, or null where there is none.
    valueOrNull(node, values) {
      return readable(() => this.evaluate(node, values));
    }
  }

  // --- the points at which formulas are compared, as gradelib/marker/domains.py makes them from raw numbers

  const times = (x, factor) => each(x, (entry) => entry * factor);
  const gram = (x) => times(product(x, transposed(x)), 1 / 4);
  const spdRoot = (x) => plus(gram(x), times(eye(x.shape[0]), 1 / 2));
  const contractionRoot = (x) => inverseOf(plus(eye(x.shape[0]), gram(x)));

  // Cayley's map of a skew matrix; some rows are flipped so that reflections occur too.
  function orthogonal(x) {
    const size = x.shape[0];
    const skew = minus(x, transposed(x));
    const flips = diagonalMatrix(Array.from({ length: size }, (_, i) => (i < Number(x.data[0] > 0) ? -1 : 1)));
    return product(product(flips, minus(eye(size), skew)), inverseOf(plus(eye(size), skew)));
  }

  const asDrawn = (x) => x;
  const KINDS = new Map([
    ["real", asDrawn], ["pos", asDrawn], ["unit", asDrawn], ["vector", asDrawn], ["posvector", asDrawn],
    ["matrix", asDrawn],
    ["negvector", (x) => each(x, (entry) => -entry * entry)],
    ["sym", (x) => plus(x, transposed(x))],
    ["spd", (x) => product(spdRoot(x), spdRoot(x))],
    ["contraction", (x) => product(contractionRoot(x), contractionRoot(x))],
    ["negdiag", (x) => diagonalMatrix(x.data.map((entry) => -entry * entry))],
    ["orth", orthogonal],
  ]);
  const ROOTS = new Map([
    ["spd", spdRoot], ["contraction", contractionRoot], ["negdiag", (x) => diagonalMatrix(x.data)],
  ]);
  const SQUARE = new Set(["sym", "spd", "contraction", "orth"]);
  const VECTORS = new Set(["vector", "posvector", "negvector", "negdiag"]);

  const split = (domain) => domain.split(":");

  // The values of all inputs at each point; `raw` has the numbers of each input point after point, times 256.
  function pointsOf(language, data) {
    const domains = new Map([...language.always, ...Object.entries(data.inputs)]);
    const raw = new Map(Object.entries(data.raw));
    const taken = new Map();
    const take = (name, shape) => {
      const start = taken.get(name) || 0;
      const count = shape.reduce((a, b) => a * b, 1);
      taken.set(name, start + count);
      const numbers = raw.get(name).slice(start, start + count).map((whole) => whole / 256);
      return shape.length ? array(shape, numbers) : numbers[0];
    };
    return data.sizes.map(([n, d]) => {
      const sizes = new Map([["n", n], ["d", d]]);
      const drawn = new Map();
      for (const [name, domain] of domains) {
        const [kind, argument = ""] = split(domain);
        if (!KINDS.has(kind)) continue;
        const axes = argument.split(",").filter(Boolean).map((size) => sizes.get(size));
        drawn.set(name, take(name, SQUARE.has(kind) ? [axes[0], axes[0]] : VECTORS.has(kind) ? [axes[0]] : axes));
      }
      const values = new Map();
      for (const [name, domain] of domains) {
        const [kind, argument] = split(domain);
        if (kind === "dim") values.set(name, sizes.get(argument));
        else if (kind === "eye") values.set(name, eye(sizes.get(argument)));
        else if (kind === "sqrt" || kind === "sqrtneg") {
          values.set(name, ROOTS.get(split(domains.get(argument))[0])(drawn.get(argument)));
        } else values.set(name, KINDS.get(kind)(drawn.get(name)));
      }
      return { sizes, values };
    });
  }

  // --- mutants of a formula, as gradelib/marker/mutation.py makes them

  const HAS_INVERSE = new Set(["spd", "sym", "negdiag", "orth", "contraction", "sqrt", "sqrtneg"]);
  const OTHER_SIZE = new Map([["n", "d"], ["d", "n"], ["I_n", "I_d"], ["I_d", "I_n"]]);
  const SWAPPED = new Map([["+", "-"], ["-", "+"], ["*", "/"], ["/", "*"]]);
  const RELATED = new Map([["tr", ["det"]], ["det", ["tr"]], ["logdet", ["det", "tr"]], ["colnorm2", ["rownorm2"]],
    ["rownorm2", ["colnorm2"]], ["sum", ["prod"]], ["prod", ["sum"]]]);
  const number = (value) => ({ value, whole: Number.isInteger(value) });
  const HALF = op("/", number(1), number(2));

  // The changes of one node, as pairs of the change's name and the new node.
  function* changes(node, domains) {
    if (isNumber(node)) {
      yield ["number", number(node.value + 1)];
      yield ["number", number(node.value > 1 ? node.value / 2 : 0)];
      return;
    }
    const sign = node.op;
    if (node.name || (sign !== "neg" && sign !== "[]")) {
      yield ["factor", op("*", number(2), node)];
      yield ["factor", op("*", HALF, node)];
    }
    if (node.name) {
      const kind = split(domains.get(node.name) || "")[0];
      if (HAS_INVERSE.has(kind)) yield ["inverse", op("inv", node)];
      if (kind === "matrix" || kind === "orth") yield ["transpose", op("T", node)];
      if (kind === "pos" || kind === "real") yield ["exponent", op("**", node, number(2))];
      if (OTHER_SIZE.has(node.name)) yield ["n for d", { name: OTHER_SIZE.get(node.name) }];
      if (node.name === "beta") {
        yield ["beta inverted", op("/", number(1), node)];
        yield ["beta dropped", number(1)];
      }
      return;
    }
    const [left, right] = node.args;
    if (sign === "neg") yield ["sign of a term", left];
    if (sign === "**") yield ["sign of a term", op("**", left, op("neg", right))];
    if (sign === "+" || sign === "-") {
      yield ["sign of a term", op(SWAPPED.get(sign), left, right)];
      yield ["sign of a term", op(SWAPPED.get(sign), op("neg", left), right)];
      yield ["dropped term", left];
      yield ["dropped term", sign === "+" ? right : op("neg", right)];
    } else if (sign === "*" || sign === "@") {
      yield ["dropped factor", left];
      yield ["dropped factor", right];
    } else if (sign === "/" || sign === "**") yield ["dropped factor", left];
    else if (node.args.length === 1 && sign !== "neg" && sign !== "T") yield ["function dropped", left];
    if (sign === "inv") yield ["inverse", left];
    if (sign === "*" || sign === "/") yield ["inverse", op(SWAPPED.get(sign), left, right)];
    if (sign === "T") yield ["transpose", left];
    if (sign === "@") yield ["order", op("@", right, left)];
    for (const other of RELATED.get(sign) || []) yield ["function", op(other, ...node.args)];
    if (["sum", "tr", "norm2", "frob2", "logdet"].includes(sign)) {
      for (const name of ["d", "n"]) yield ["mean for sum", op("/", node, { name })];
    }
  }

  // The tree with one change in one of its nodes.
  function* mutants(node, domains) {
    yield* changes(node, domains);
    for (const [place, child] of (node.args || []).entries()) {
      for (const [name, changed] of mutants(child, domains)) {
        yield [name, op(node.op, ...node.args.map((old, i) => (i === place ? changed : old)))];
      }
    }
  }

  // --- the verdict

  const REJECT = 1e-6;
  const SMALL = 1e-6; // a value under this may be what cancellation left of a zero
  const CLOSE = 1e-8;
  function close(a, b) {
    if (!sameShape(a, b)) return false;
    return largest(entries(minus(a, b))) <= CLOSE * Math.max(largest(entries(b)), 1e-12);
  }

  // Whether the values agree wherever both exist, at two points at least.
  function same(a, b) {
    let both = 0;
    for (let i = 0; i < a.length; i++) {
      if ((a[i] === null) !== (b[i] === null)) return false;
      if (a[i] === null) continue;
      if (!close(a[i], b[i])) return false;
      both += 1;
    }
    return both > 1;
  }

  // Whether two values are equal at a point: "equal", "different", or "near" where float64 cannot tell.
  function compareValues(a, b, tolerance) {
    if (!sameShape(a, b)) return "different";
    const gap = largest(entries(minus(a, b)));
    const scale = Math.max(largest(entries(a)), largest(entries(b)));
    if (gap <= tolerance * scale && scale > SMALL) return "equal";
    return gap > REJECT * scale && scale > SMALL ? "different" : "near";
  }

  // One exercise with all that its answers are compared with, computed when the first answer comes.
  class FormulaExercise {
    constructor(language, arithmetic, data) {
      Object.assign(this, { language, arithmetic, data });
      this.names = [...new Set([...Object.keys(data.inputs), ...language.always.keys()])];
    }

    prepare() {
      if (this.right) return;
      const { language, arithmetic, data } = this;
      this.tree = parse(language, data.answer, this.names);
      this.points = pointsOf(language, data);
      this.mistakes = data.mistakes.map(([answer, hint, name]) => {
        const tree = parse(language, answer, this.names);
        return { tree, hint, name: name || answer, values: this.valuesOf(tree) };
      });
      const domains = new Map([...language.always, ...Object.entries(data.inputs)]);
      const varied = namesIn(this.tree).size ? [...mutants(this.tree, domains)] : [];
      this.mutants = varied.map(([name, tree]) => ({ name, tree, first: arithmetic.valueOrNull(tree, this.points[0].values) }));
      this.right = this.valuesOf(this.tree);
    }

    valuesOf(tree) {
      return this.points.map(({ values }) => this.arithmetic.valueOrNull(tree, values));
    }

    // "equal", "different", or "near" where float64 cannot tell, from the values at the points of comparison.
    compare(values, others, tolerance = 1e-9) {
      let near = false;
      for (let i = 0; i < this.data.compared; i++) {
        if (values[i] === null || others[i] === null) return "different";
        const found = compareValues(values[i], others[i], tolerance);
        if (found === "different") return found;
        near = near || found === "near";
      }
      return near ? "near" : "equal";
    }

    mark(text) {
      this.prepare();
      const tree = parse(this.language, text, this.names);
      const values = this.valuesOf(tree);
      return { ...this.outcome(tree, values), readAs: readAs(this.language, tree), tree };
    }

    outcome(tree, values) {
      const { language } = this;
      const verdict = this.compare(values, this.right, this.data.tolerance);
      if (verdict === "equal") return { state: "correct", message: language.sentence("correct") };
      if (verdict === "near") return { state: "undecided", message: language.sentence("undecided") };
      const found = this.diagnose(values);
      const outcome = found
        ? { state: "incorrect", message: found.hint, mistake: found.name, hint: found.hint } : this.unlikeAny(tree);
      const surprise = outcome.mistake ? null : this.surprise(tree);
      return surprise ? { ...outcome, message: `${outcome.message} ${surprise}` } : outcome;
    }

    diagnose(values) {
      const known = this.mistakes.find((mistake) => same(values, mistake.values));
      if (known) return known;
      const name = this.generalMistake(values) || this.mutation(values);
      return name && { name, hint: this.language.hints.get(name) };
    }

    // A wrong sign, factor, transpose or inverse of the whole answer, or a mean in place of a sum.
    generalMistake(values) {
      for (const [name, guess] of this.guesses(values)) if (same(values, guess)) return name;
      return null;
    }

    * guesses(values) {
      const { right } = this;
      const changed = (change) => right.map((value, i) => (value === null ? null : change(value, this.points[i].sizes)));
      yield ["sign", changed((value) => times(value, -1))];
      for (const size of ["n", "d"]) {
        yield ["mean for sum", changed((value, sizes) => each(value, (x) => x / sizes.get(size)))];
        yield ["mean for sum", changed((value, sizes) => times(value, sizes.get(size)))];
      }
      const constant = right.every((value) => typeof value === "number" && value === right[0]);
      const factor = constant ? 0 : this.factor(values[0], right[0]);
      if (factor) yield ["factor", changed((value) => times(value, factor))];
      yield ["transpose", changed((value) => (ndim(value) > 1 ? transposed(value) : null))];
      const square = (value) => ndim(value) > 1 && value.shape[0] === value.shape[1];
      yield ["inverse", changed((value) => (square(value) ? inverseOf(value) : each(value, (x) => 1 / x)))];
    }

    factor(value, right) {
      if (value === null || right === null || !sameShape(value, right)) return 0;
      const scale = total(squares(right));
      return scale ? total(entries(pairwise(value, right, (x, y) => x * y))) / scale : 0;
    }

    // What the mutant of the right answer that has these values is called.
    mutation(values) {
      const found = new Set();
      for (const { name, tree, first } of this.mutants) {
        if (found.has(name)) continue;
        const like = first === null ? values[0] === null : values[0] !== null && close(values[0], first);
        if (like && same(values, this.valuesOf(tree))) found.add(name);
      }
      for (const [name, called] of this.language.mutations) if (found.has(name)) return called;
      return null;
    }

    // A wrong formula that makes no known mistake: say of its shape, value or inputs what one can.
    unlikeAny(tree) {
      const { language } = this;
      const { sizes, values } = this.points[0];
      let value;
      try {
        value = this.arithmetic.evaluate(tree, values);
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error;
        if (error.kind === "undefined") {
          return { state: "incorrect", message: language.sentence("no_value", { text: error.message }) };
        }
        const tried = [...sizes].map(([name, size]) => language.phrase("size", { name, size })).join(", ");
        return { state: "unreadable", message: language.sentence("tried_with", { text: error.message, sizes: tried }) };
      }
      const entrywise = this.entrywiseOutcome(tree);
      if (entrywise) return entrywise;
      return { state: "incorrect", message: this.shapeHint(value) || this.dependenceHint(tree) };
    }

    // A slip of the pen: the answer is right once * between vectors and matrices is read as @; or a known mistake.
    entrywiseOutcome(tree) {
      const products = new Set(this.entrywise(tree));
      if (!products.size) return null;
      const change = (node) => (node.op
        ? op(products.has(node) ? "@" : node.op, ...node.args.map(change)) : node);
      const meant = change(tree);
      const values = this.valuesOf(meant);
      const verdict = this.compare(values, this.right);
      const message = this.language.sentence("entrywise");
      if (verdict === "near") return { state: "undecided", message: this.language.sentence("undecided") };
      if (verdict === "equal") return { state: "unreadable", message, suggestion: write(meant, PLAIN) };
      const mistaken = this.mistakes.some((mistake) => this.compare(values, mistake.values) === "equal");
      return mistaken ? { state: "incorrect", message } : null;
    }

    // The products of two vectors or matrices, which * takes entry by entry.
    entrywise(tree) {
      const { values } = this.points[0];
      return [...walk(tree)].filter((node) => node.op === "*" &&
        node.args.every((part) => ndim(this.arithmetic.evaluate(part, values))));
    }

    // How the formula was read, where that can surprise: by the order of operations, or entry by entry.
    surprise(tree) {
      const text = write(tree, EXPLICIT);
      const entrywise = readable(() => this.entrywise(tree)) || [];
      if (entrywise.length) return this.language.sentence("read_as_entrywise", { text });
      return text === write(tree, PLAIN) ? null : this.language.sentence("read_as", { text });
    }

    // A sentence on a value of the wrong kind or shape, with the sizes by name; null if the shape is right.
    shapeHint(value) {
      const [right] = this.right;
      if (sameShape(value, right)) return null;
      const named = new Map([...this.points[0].sizes].map(([name, size]) => [size, name]));
      const kind = (x) => {
        const [rows, columns] = shapeOf(x).map((axis) => named.get(axis) || axis);
        return this.language.phrase(["number", "vector", "matrix_of"][ndim(x)], { length: rows, rows, columns });
      };
      return this.language.sentence("wrong_shape", { value: kind(value), right: kind(right) });
    }

    // What can be said of a wrong formula that is like nothing known: which inputs it should or should not have.
    dependenceHint(tree) {
      const ours = namesIn(tree);
      const [inEvery, inSome] = this.data.rightNames;
      const missing = inEvery.filter((name) => !ours.has(name)).sort();
      const surplus = [...ours].filter((name) => !inSome.includes(name)).sort();
      if (missing.length && !surplus.length) return this.language.sentence("without", { name: missing[0] });
      if (surplus.length && !missing.length) return this.language.sentence("depends", { name: surplus[0] });
      return this.language.sentence("wrong");
    }
  }

  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

  class ChoiceExercise {
    constructor(language, data) {
      Object.assign(this, { language, data });
    }

    // A letter and a number, such as "B2" or "B because 2".
    mark(text) {
      const { options, reasons } = this.data;
      const plainText = asciiText(this.language, text).toUpperCase();
      const letters = (plainText.match(/[A-Z]+/g) || []).filter((word) => word.length === 1)
        .map((word) => LETTERS.indexOf(word)).filter((index) => index < options.length);
      const numbers = (plainText.match(/[0-9]+/g) || []).filter((word) => !word.startsWith("0"))
        .map((word) => Number(word) - 1).filter((index) => index < reasons.length);
      if (letters.length !== 1 || numbers.length !== 1) {
        const counted = reasons.map((_, i) => i + 1).join(", ");
        const lettered = [...LETTERS].slice(0, options.length).join(", ");
        throw this.language.error("wants_choice", { example: "A1", options: lettered, reasons: counted });
      }
      return this.markPair(letters[0], numbers[0]);
    }

    markPair(option, reason) {
      const { right, hints, options, reasons } = this.data;
      if (option === right[0] && reason === right[1]) {
        return { state: "correct", message: this.language.sentence("correct") };
      }
      const hint = hints[option][reason];
      return { state: "incorrect", message: hint, mistake: `${options[option]} because ${reasons[reason]}`, hint };
    }
  }

  class Marker {
    constructor(language, exercises) {
      this.language = new Language(language);
      const arithmetic = new Arithmetic(this.language);
      this.exercises = new Map(Object.entries(exercises).map(([id, data]) => [id, data.kind === "choice"
        ? new ChoiceExercise(this.language, data) : new FormulaExercise(this.language, arithmetic, data)]));
    }

    mark(id, text) {
      return this.verdict(id, (exercise) => (this.language.isBlank(text) ? this.unanswered() : exercise.mark(text)));
    }

    markChoice(id, option, reason) {
      const chosen = Number.isInteger(option) && Number.isInteger(reason);
      return this.verdict(id, (exercise) => (chosen ? exercise.markPair(option, reason) : this.unanswered()));
    }

    // Compute what answers to an exercise are compared with, which the first answer does otherwise.
    prepare(id) {
      const exercise = this.exercises.get(id);
      if (exercise.prepare) exercise.prepare();
    }

    // How a formula is read so far; code says what is wrong, so that a page can wait with "incomplete" and "nothing".
    preview(id, text) {
      try {
        const tree = parse(this.language, text, this.exercises.get(id).names);
        return { ok: true, code: null, message: "", suggestion: null, readAs: readAs(this.language, tree), tree };
      } catch (error) {
        const { code, message, suggestion } = this.refusal(error);
        return { ok: false, code, message, suggestion, readAs: null, tree: null };
      }
    }

    unanswered() {
      return { state: "unanswered", message: this.language.sentence("blank") };
    }

    verdict(id, found) {
      const exercise = this.exercises.get(id);
      let outcome;
      try {
        outcome = found(exercise);
      } catch (error) {
        outcome = this.refusal(error);
      }
      const { maxScore } = exercise.data;
      const none = { mistake: null, hint: null, suggestion: null, readAs: null, tree: null, code: null };
      return { ...none, ...outcome, score: outcome.state === "correct" ? maxScore : 0, maxScore };
    }

    // An error as a verdict; one that is no AnswerError is a fault of this script, and says so in one sentence.
    refusal(error) {
      if (!(error instanceof AnswerError)) {
        return { state: "unreadable", code: "apology", message: this.language.sentence("apology") };
      }
      return { state: "unreadable", code: error.code, message: error.message, suggestion: error.suggestion };
    }
  }

  globalThis.GradeMarker = Object.freeze({ load: (language, exercises) => new Marker(language, exercises), element });
})();
