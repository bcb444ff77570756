"use strict";

// Trains the small models of the playground: x = ν(Wz) + ε with two latents, a decoder ν(Az) + b and a linear encoder
// q(z|x) = N(Cx + e, Σ). gradelib.playground does the same in Python, with the gradients left to torch.
//
//   const data = GradeEngine.sample(settings);               // W (n × 2) and x (examples × n), from a seed
//   const learner = new GradeEngine.Learner("diagonal", GradeEngine.start(7), settings);
//   learner.step(data.x, GradeEngine.noise(...));            // one step of Adam on all examples; returns the loss
//   learner.judged(data.x)                                   // the exact loss, and what the pictures show
//
// Matrices are arrays, row by row. Angles are in degrees, losses in nats.

globalThis.GradeEngine = (() => {
  const N = 6; // pixels
  const STEPS = 1500;
  const RATE = 0.1; // of Adam at the start; it falls to zero along half a cosine
  const FAMILIES = ["full", "diagonal", "isotropic"];
  const [OFFSET, ENCODER, CODE, SCALES] = [2 * N, 3 * N, 5 * N, 5 * N + 2]; // where b, C, e and Σ begin in the parameters
  const SCALE_COUNT = { full: 3, diagonal: 2, isotropic: 1, grae: 0 };
  const START_SCALE = -2; // logarithm of the standard deviations of q
  const DEGREE = Math.PI / 180;

  // --- random numbers

  // sfc32, seeded by a hash of words and numbers, so that each use has a stream of its own.
  function stream(...names) {
    let hash = 2166136261;
    for (const sign of names.join("/")) hash = Math.imul(hash ^ sign.charCodeAt(0), 16777619);
    let [a, b, c, count] = [hash, 0x9e3779b9, 0x243f6a88, 1];
    const uniform = () => {
      const sum = (a + b + count) | 0;
      count = (count + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + sum | 0;
      return ((sum >>> 0) + 0.5) / 4294967296;
    };
    for (let i = 0; i < 15; i++) uniform();
    let spare = null;
    return () => { // Box and Muller
      if (spare !== null) {
        const kept = spare;
        spare = null;
        return kept;
      }
      const [radius, angle] = [Math.sqrt(-2 * Math.log(uniform())), 2 * Math.PI * uniform()];
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    };
  }

  const normals = (count, draw, scale = 1) => Float64Array.from({ length: count }, () => scale * draw());

  // The data of a seed. A turn of the truth changes W and the latents, but no pixel: W Rᵀ R z is W z.
  function sample({ data, examples, noise, long, short, turn, slope }) {
    const draw = stream("data", data);
    const first = normalised(normals(N, draw));
    const second = normals(N, draw);
    const along = dot(first, second);
    const axes = [first, normalised(second.map((value, k) => value - along * first[k]))];
    const straight = new Float64Array(2 * N);
    for (let k = 0; k < N; k++) [straight[2 * k], straight[2 * k + 1]] = [long * axes[0][k], short * axes[1][k]];
    const x = new Float64Array(examples * N);
    for (let i = 0; i < examples; i++) {
      const [z0, z1] = [draw(), draw()];
      for (let k = 0; k < N; k++) {
        const y = straight[2 * k] * z0 + straight[2 * k + 1] * z1;
        x[i * N + k] = (y > 0 ? y : slope * y) + noise * draw();
      }
    }
    return { x, axes, W: turned(straight, turn) };
  }

  const start = (seed) => {
    const draw = stream("start", seed);
    const w = new Float64Array(SCALES);
    w.set(normals(2 * N, draw), 0);
    w.set(normals(2 * N, draw, 0.1), ENCODER);
    return w;
  };

  const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);
  const normalised = (a) => {
    const length = Math.sqrt(dot(a, a));
    return a.map((value) => value / length);
  };

  // A Rᵀ for the turn R by some degrees.
  function turned(A, degrees) {
    const [c, s] = [Math.cos(degrees * DEGREE), Math.sin(degrees * DEGREE)];
    const B = new Float64Array(A.length);
    for (let k = 0; k < A.length; k += 2) [B[k], B[k + 1]] = [c * A[k] - s * A[k + 1], s * A[k] + c * A[k + 1]];
    return B;
  }

  // --- a model and its training

  class Learner {
    constructor(family, from, { beta, noise, slope }, steps = STEPS) {
      const w = new Float64Array(SCALES + SCALE_COUNT[family]);
      w.set(from);
      w.fill(START_SCALE, SCALES);
      if (family === "full") w[SCALES + 2] = 0;
      const empty = () => new Float64Array(w.length);
      Object.assign(this, { family, beta, noise, slope, steps, w, count: 0, losses: [] });
      Object.assign(this, { gradient: empty(), mean: empty(), square: empty() });
    }

    get A() {
      return this.w.subarray(0, OFFSET);
    }

    get done() {
      return this.count >= this.steps;
    }

    // L of Σ = LLᵀ as [L₀₀, L₁₀, L₁₁]; GRAE≈ has no noise in the code.
    factor() {
      const [first, second, below] = this.w.subarray(SCALES);
      if (this.family === "grae") return [0, 0, 0];
      if (this.family === "isotropic") return [Math.exp(first), 0, Math.exp(first)];
      return [Math.exp(first), below ?? 0, Math.exp(second)];
    }

    // One step of Adam on all examples x with the noise eps (examples × 2); returns the loss before it.
    step(x, eps) {
      const loss = this.lossAndGradient(x, eps);
      const rate = RATE * (1 + Math.cos(Math.PI * this.count / this.steps)) / 2;
      this.count++;
      const [first, second] = [1 - 0.9 ** this.count, Math.sqrt(1 - 0.999 ** this.count)];
      const { w, gradient, mean, square } = this;
      for (let i = 0; i < w.length; i++) {
        mean[i] += 0.1 * (gradient[i] - mean[i]);
        square[i] = 0.999 * square[i] + 0.001 * gradient[i] * gradient[i];
        w[i] -= rate / first * mean[i] / (Math.sqrt(square[i]) / second + 1e-8);
      }
      this.losses.push(loss);
      return loss;
    }

    // The loss of one draw of the codes, or of GRAE≈, which draws none; its gradient goes into this.gradient.
    lossAndGradient(x, eps) {
      const { w, gradient: dw, slope, beta, noise, family } = this;
      const count = x.length / N;
      const isGrae = family === "grae";
      const [l00, l10, l11] = this.factor();
      const weight = 1 / (noise * noise * count);
      const share = beta / count;
      const slopes = new Float64Array(N);
      let [squares, codes, logs, d00, d10, d11] = [0, 0, 0, 0, 0, 0];
      dw.fill(0);
      for (let i = 0; i < count; i++) {
        const [h0, h1] = this.encode(x, i);
        const [e0, e1] = [eps[2 * i], eps[2 * i + 1]];
        const [z0, z1] = [h0 + l00 * e0, h1 + l10 * e0 + l11 * e1];
        let [dz0, dz1, t0, t1] = [0, 0, 0, 0];
        for (let k = 0; k < N; k++) {
          const [a0, a1] = [w[2 * k], w[2 * k + 1]];
          const y = a0 * z0 + a1 * z1;
          const s = y > 0 ? 1 : slope;
          const r = s * y + w[OFFSET + k] - x[i * N + k];
          const dy = weight * s * r;
          squares += r * r;
          dw[OFFSET + k] += weight * r;
          dw[2 * k] += dy * z0;
          dw[2 * k + 1] += dy * z1;
          dz0 += dy * a0;
          dz1 += dy * a1;
          slopes[k] = s * s;
          t0 += s * s * a0 * a0;
          t1 += s * s * a1 * a1;
        }
        if (isGrae) { // ½β Σ log(1 + ‖J_i‖²/(β noise²))
          const [p0, p1] = [1 + t0 / (beta * noise * noise), 1 + t1 / (beta * noise * noise)];
          logs += Math.log(p0) + Math.log(p1);
          for (let k = 0; k < N; k++) {
            dw[2 * k] += weight * slopes[k] * w[2 * k] / p0;
            dw[2 * k + 1] += weight * slopes[k] * w[2 * k + 1] / p1;
          }
        }
        d00 += dz0 * e0;
        d10 += dz1 * e0;
        d11 += dz1 * e1;
        codes += h0 * h0 + h1 * h1;
        const [dh0, dh1] = [dz0 + share * h0, dz1 + share * h1];
        for (let k = 0; k < N; k++) {
          dw[ENCODER + k] += dh0 * x[i * N + k];
          dw[ENCODER + N + k] += dh1 * x[i * N + k];
        }
        dw[CODE] += dh0;
        dw[CODE + 1] += dh1;
      }
      const likelihood = squares * weight / 2 + constant(noise);
      if (isGrae) return likelihood + share * (codes + logs) / 2;
      if (family === "isotropic") {
        dw[SCALES] = l00 * (d00 + d11) + 2 * beta * (l00 * l00 - 1);
      } else {
        dw[SCALES] = l00 * d00 + beta * (l00 * l00 - 1);
        dw[SCALES + 1] = l11 * d11 + beta * (l11 * l11 - 1);
        if (family === "full") dw[SCALES + 2] = d10 + beta * l10;
      }
      const spread = l00 * l00 + l10 * l10 + l11 * l11 - 2 - 2 * Math.log(l00 * l11);
      return likelihood + beta * (codes / count + spread) / 2;
    }

    // The mean h of q for example i.
    encode(x, i) {
      const { w } = this;
      let [h0, h1] = [w[CODE], w[CODE + 1]];
      for (let k = 0; k < N; k++) {
        h0 += w[ENCODER + k] * x[i * N + k];
        h1 += w[ENCODER + N + k] * x[i * N + k];
      }
      return [h0, h1];
    }

    // g(h(x)) of example i, and the two columns of the decoder's Jacobian there.
    jacobian(x, i) {
      const [h0, h1] = this.encode(x, i);
      const [g, first, second] = [new Float64Array(N), new Float64Array(N), new Float64Array(N)];
      for (let k = 0; k < N; k++) {
        const y = this.w[2 * k] * h0 + this.w[2 * k + 1] * h1;
        const s = y > 0 ? 1 : this.slope;
        [g[k], first[k], second[k]] = [s * y + this.w[OFFSET + k], s * this.w[2 * k], s * this.w[2 * k + 1]];
      }
      return { g, columns: [first, second] };
    }

    // Σ as [Σ₀₀, Σ₀₁, Σ₁₁].
    covariance() {
      const [l00, l10, l11] = this.factor();
      return [l00 * l00, l00 * l10, l10 * l10 + l11 * l11];
    }

    // The exact β-VAE loss with all codes averaged over q, for one covariance S, and the slope c of each pixel along the
    // variance that S gives it (eq-shared-precision). What does not depend on S is computed once in `of`.
    exact(x) {
      const { w, slope, beta, noise } = this;
      const count = x.length / N;
      const [m, target] = [new Float64Array(x.length), new Float64Array(x.length)];
      let codes = 0;
      for (let i = 0; i < count; i++) {
        const [h0, h1] = this.encode(x, i);
        codes += (h0 * h0 + h1 * h1) / count;
        for (let k = 0; k < N; k++) {
          m[i * N + k] = w[2 * k] * h0 + w[2 * k + 1] * h1;
          target[i * N + k] = x[i * N + k] - w[OFFSET + k];
        }
      }
      return (A, [s00, s01, s11]) => {
        const c = new Float64Array(N);
        let squares = 0;
        for (let k = 0; k < N; k++) {
          const [a0, a1] = [A[2 * k], A[2 * k + 1]];
          const s = Math.sqrt(a0 * a0 * s00 + 2 * a0 * a1 * s01 + a1 * a1 * s11) + 1e-12;
          for (let i = k; i < m.length; i += N) {
            const [above, density] = gauss(m[i] / s);
            const second = (m[i] * m[i] + s * s) * above + m[i] * s * density;
            const first = slope * m[i] + (1 - slope) * (m[i] * above + s * density);
            squares += target[i] * (target[i] - 2 * first)
              + slope * slope * (m[i] * m[i] + s * s) + (1 - slope * slope) * second;
            c[k] += slope * slope + (1 - slope * slope) * above - (1 - slope) * target[i] / s * density;
          }
          c[k] /= noise * noise * count;
        }
        const kl = (codes + s00 + s11 - 2 - Math.log(s00 * s11 - s01 * s01)) / 2;
        return { loss: squares / (2 * noise * noise * count) + constant(noise) + beta * kl, c };
      };
    }

    // The best covariance of a family for the decoder A with the means as they are, and the loss with it, by fixed-point
    // steps of Σ⁻¹ = I + Aᵀ diag(c) A/β; a linear ν has a constant c and needs two.
    best(exact, A, family, from) {
      let [S, found] = [from, exact(A, from)];
      for (let round = 0; round < 8; round++) {
        let [p00, p01, p11] = [1, 0, 1];
        for (let k = 0; k < N; k++) {
          p00 += found.c[k] * A[2 * k] ** 2 / this.beta;
          p01 += found.c[k] * A[2 * k] * A[2 * k + 1] / this.beta;
          p11 += found.c[k] * A[2 * k + 1] ** 2 / this.beta;
        }
        const determinant = p00 * p11 - p01 * p01;
        if (!(p00 > 0 && p11 > 0 && determinant > 0)) break; // far from a minimum the slopes may be negative
        const next = family === "full" ? [p11 / determinant, -p01 / determinant, p00 / determinant]
          : family === "isotropic" ? [2 / (p00 + p11), 0, 2 / (p00 + p11)] : [1 / p00, 0, 1 / p11];
        const value = exact(A, next);
        const gain = found.loss - value.loss;
        if (!(gain > 0)) break;
        [S, found] = [next, value];
        if (gain < 1e-9) break;
      }
      return { S, loss: found.loss };
    }

    // What the pictures and the words need: the exact loss with the model's own Σ (of GRAE≈, with the best diagonal
    // one), and the ellipse that q would have if Σ were free.
    judged(x) {
      const exact = this.exact(x);
      const own = this.family === "grae" ? this.best(exact, this.A, "diagonal", [0.1, 0, 0.1])
        : { S: this.covariance(), loss: exact(this.A, this.covariance()).loss };
      return { ...own, free: this.best(exact, this.A, "full", own.S) };
    }

    // The loss of the model turned by each angle, its means along with it, with the best Σ of the family.
    turnedLosses(x, angles) {
      const exact = this.exact(x);
      const family = this.family === "grae" ? "diagonal" : this.family;
      let from = family === "full" ? this.covariance() : this.judged(x).S;
      return angles.map((angle) => {
        const found = this.best(exact, turned(this.A, angle), family, family === "full" ? turnedCovariance(from, angle) : from);
        if (family !== "full") from = found.S;
        return found.loss;
      });
    }
  }

  const constant = (noise) => N * Math.log(noise * Math.sqrt(2 * Math.PI));

  // R S Rᵀ.
  function turnedCovariance([s00, s01, s11], degrees) {
    const [c, s] = [Math.cos(degrees * DEGREE), Math.sin(degrees * DEGREE)];
    const cross = c * s * (s00 - s11) + (c * c - s * s) * s01;
    return [c * c * s00 - 2 * c * s * s01 + s * s * s11, cross, s * s * s00 + 2 * c * s * s01 + c * c * s11];
  }

  // Φ and φ of the standard normal distribution; Hart's rational approximation (1968), good to 15 digits.
  const ABOVE = [0.0352624965998911, 0.700383064443688, 6.37396220353165, 33.912866078383, 112.079291497871,
    221.213596169931, 220.206867912376];
  const BELOW = [0.0883883476483184, 1.75566716318264, 16.064177579207, 86.7807322029461, 296.564248779674,
    637.333633378831, 793.826512519948, 440.413735824752];
  const polynomial = (coefficients, x) => {
    let sum = 0;
    for (let i = 0; i < coefficients.length; i++) sum = sum * x + coefficients[i];
    return sum;
  };
  function gauss(x) {
    const size = Math.abs(x);
    if (size > 8) return x > 0 ? [1, 0] : [0, 0]; // what is left out is below 1e-14
    const bell = Math.exp(-x * x / 2);
    const tail = size < 7 ? bell * polynomial(ABOVE, size) / polynomial(BELOW, size)
      : bell / ((size + 1 / (size + 2 / (size + 3 / (size + 4 / (size + 0.65))))) * 2.506628274631);
    return [x > 0 ? 1 - tail : tail, bell / Math.sqrt(2 * Math.PI)];
  }

  // --- the axes of a model against those of W

  // A is about W Mᵀ with an orthogonal M, the polar factor of AᵀW: `angle` is that of the model's first latent in the
  // plane of the true ones, from −45 to 45 degrees since order and sign do not matter; `sign` is the determinant of M.
  function against(A, W) {
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let k = 0; k < 2 * N; k += 2) {
      a += A[k] * W[k];
      b += A[k] * W[k + 1];
      c += A[k + 1] * W[k];
      d += A[k + 1] * W[k + 1];
    }
    const sign = a * d - b * c < 0 ? -1 : 1;
    return { angle: folded(Math.atan2(b - sign * c, a + sign * d) / DEGREE), sign };
  }

  // An angle as the nearest turn by 90 degrees leaves it, from −45 up to 45.
  const folded = (angle) => angle - 90 * Math.floor((angle + 45) / 90);

  // The turn that takes a model at `from` to `to`.
  const turnTo = ({ angle, sign }, to) => sign * (angle - to);

  // Lengths of the axes of the ellipse with the matrix [s₀₀, s₀₁, s₁₁], and the direction of the longer one.
  function principal([s00, s01, s11]) {
    const [middle, radius] = [(s00 + s11) / 2, Math.hypot((s00 - s11) / 2, s01)];
    const lengths = [Math.sqrt(middle + radius), Math.sqrt(Math.max(0, middle - radius))];
    return { lengths, angle: Math.atan2(2 * s01, s00 - s11) / 2 / DEGREE };
  }

  // Whether one direction of the code has gone silent: A has a second singular value of next to nothing.
  function isSilent(A) {
    const gram = [0, 0, 0];
    for (let k = 0; k < 2 * N; k += 2) {
      gram[0] += A[k] ** 2;
      gram[1] += A[k] * A[k + 1];
      gram[2] += A[k + 1] ** 2;
    }
    const { lengths } = principal(gram);
    return lengths[1] < 0.05 * lengths[0];
  }

  return { N, STEPS, RATE, FAMILIES, Learner, stream, normals, sample, start, turned, against, folded, turnTo, principal, isSilent, gauss, dot };
})();
