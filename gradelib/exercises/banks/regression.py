"""A bank of three exercises on linear regression; the last has other numbers for each learner."""

from random import Random

from gradelib.marker.exercise import Exercise, Mistake

slope = Exercise(
    id="slope",
    prompt="A line through the origin, y ≈ b x, is fitted to data x, y by least squares. What is b?",
    inputs={"x": "vector:n", "y": "vector:n"},
    answer="dot(x, y)/norm2(x)",
    also_right=("T(x)@y/(T(x)@x)", "sum(x*y)/sum(x**2)", "dot(y, x)/norm(x)**2"),
    mistakes=(
        Mistake("dot(x, y)/norm2(y)", "This predicts x from y. Which of the two has the errors?"),
        Mistake("sum(y)/sum(x)", "Does your line care more about points far from the origin, as squares do?"),
        Mistake("norm2(x)/dot(x, y)", "In which unit is your slope, if x is in seconds and y in metres?"),
        Mistake("dot(x, y)/n", "Double all x: what should the slope do?"),
        Mistake("dot(x, y)/(norm(x)*norm(y))", "This lies between -1 and 1, but a slope can be steep."),
    ),
)

ridge = Exercise(
    id="ridge",
    prompt="Which w minimises ‖y − Xw‖² + lam ‖w‖²?",
    inputs={"X": "matrix:n,d", "y": "vector:n", "lam": "pos"},
    answer="inv(T(X)@X + lam*I_d)@T(X)@y",
    also_right=("T(X)@inv(X@T(X) + lam*I_n)@y", "inv(lam*I_d + X.T@X)@(X.T@y)", "inv(I_d + T(X)@X/lam)@T(X)@y/lam"),
    mistakes=(
        Mistake("inv(T(X)@X)@T(X)@y", "Where does the price of large weights come in?"),
        Mistake("inv(T(X)@X - lam*I_d)@T(X)@y", "Should a high price make the weights small, or let them explode?"),
        Mistake("inv(T(X)@X + 2*lam*I_d)@T(X)@y", "Both squares give a factor 2 when you take the derivative."),
        Mistake("inv(T(X)@X + I_d)@T(X)@y", "What happens to w as lam grows?"),
        Mistake("inv(T(X)@X + n*lam*I_d)@T(X)@y", "Is the first term a sum over the data, or a mean?"),
    ),
)


def confidence(draw: Random) -> Exercise:
    many = draw.choice([16, 25, 49, 64, 81])
    return Exercise(
        id="confidence",
        prompt=f"The mean of {many} independent measurements has a 95 % interval, m ± w. Each measurement has the "
        "standard deviation s. What is w? (Take 1.96 for the normal distribution.)",
        inputs={"s": "pos"},
        answer=f"1.96*s/sqrt({many})",
        mistakes=(
            Mistake("1.96*s", "This is the interval of one measurement. What does the mean of many gain?"),
            Mistake(f"1.96*s/{many}", "Variances add up. What do standard deviations do?", name="divides by n"),
            Mistake(f"s/sqrt({many})", "This is one standard error: how sure is it?", name="one standard error"),
        ),
    )


EXERCISES = [slope, ridge, confidence]
